"""Backbones: a feature map per stage, with torchvision's state-dict names so that public checkpoints load.

Every backbone is a module that maps an image batch (B, 3, H, W) to its stages' feature maps and states their
channels in `channels`.
"""
