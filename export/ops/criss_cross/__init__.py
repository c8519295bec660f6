"""CrissCross: what it is, and its kernels."""
