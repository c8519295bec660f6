"""LocalAttention: what it is, and its kernels."""
