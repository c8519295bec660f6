"""Warp: what it is, and its kernels."""
