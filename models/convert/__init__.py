"""Checkpoints of other libraries under regard's names: explicit maps, every key accounted for."""
