"""Triton's backend for image files: one process decodes and infers."""
