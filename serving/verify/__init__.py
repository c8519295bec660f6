"""Proof on the wire: a served model answers its goldens as the process that exported it did."""
