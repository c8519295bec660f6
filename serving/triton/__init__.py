"""The embedded server: launch, supervise, and the backends that run inside it."""
