"""Attention mechanisms, backbones, heads and complete networks, in plain PyTorch."""
