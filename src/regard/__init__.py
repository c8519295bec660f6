"""regard: from a trained PyTorch attention model to a measured NVIDIA Triton deployment."""

__version__ = "0.1.0"
