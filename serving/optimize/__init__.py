"""Variants in a lower precision, made and held to a gate: what they decide, how good they are, how fast."""
