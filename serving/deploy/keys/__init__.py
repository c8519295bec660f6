"""What a deployment proves itself with: a CA and its certificate, API keys, signed tokens."""
