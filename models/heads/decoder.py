"""Decoder that sharpens a head's coarse features with a backbone's finer ones.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation" (DeepLabv3+),
ECCV 2018, section 3.1. https://arxiv.org/abs/1802.02611

    y = refine([upsample(coarse); reduce(fine)])         refine: two separable 3x3 convolutions
"""

import torch
from torch import Tensor, nn

from regard.models.heads.layers import conv_bn_relu, resize, separable_conv_bn_relu


class Decoder(nn.Module):
    """Fuse coarse features (B, inner, h, w) with fine ones (B, fine_channels, H, W) into (B, inner, H, W).

    Args:
        inner: channels of the coarse features and of the result.
        fine_channels: channels of the fine features, which are reduced to 48 first, as in the paper.
    """

    def __init__(self, inner: int, fine_channels: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(fine_channels, 48, 1)
        self.refine = nn.Sequential(
            separable_conv_bn_relu(inner + 48, inner), separable_conv_bn_relu(inner, inner)
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return self.refine(torch.cat([resize(coarse, fine), self.reduce(fine)], dim=1))
