"""Losses that belong to a system, one file each; `criterion` is the one that a recipe chooses."""
