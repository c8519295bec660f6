"""CCNet's head: recurrent criss-cross attention between two convolutions, fused with its input.

Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019, section 3.1. https://arxiv.org/abs/1811.11721

    h = conv(x);   h'' = RCCA(h);   y = conv([x; conv(h'')])
"""

import torch
from torch import Tensor, nn

from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.heads.layers import conv_bn_relu


class CCNetHead(nn.Module):
    """Context from two criss-cross passes: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result; C / 4 in the paper.
        recurrence: criss-cross passes, which share their weights.
    """

    def __init__(self, channels: int, inner: int, recurrence: int = 2) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(channels, inner, 3)
        self.attention = CrissCrossAttention(inner, recurrence=recurrence)
        self.expand = conv_bn_relu(inner, inner, 3)
        self.fuse = conv_bn_relu(channels + inner, inner, 3)

    def forward(self, x: Tensor) -> Tensor:
        context = self.expand(self.attention(self.reduce(x)))
        return self.fuse(torch.cat([x, context], dim=1))
