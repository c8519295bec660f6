"""Proof that what computes a served answer gives that of its reference."""
