"""Backbones: a feature map per stage. ResNet, MobileNetV2 and VGG have torchvision's state-dict names, so
that public checkpoints load.

`backbone.Backbone` says what each of them offers.
"""
