"""OCNet's pyramid head: object context within the tiles of coarser and finer partitions of the map.

Yuan et al., "OCNet: Object Context Network for Scene Parsing", 2018, section 3.3.
https://arxiv.org/abs/1809.00916

    h = conv(x);   c_t = context of h within t x t tiles, t = 1, 2, 3, 6
    y = conv1([conv1'(h); c_1; c_2; c_3; c_6])

conv1' widens h as many times as there are partitions. The authors' code, which this follows, gives each
partition weights of its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.models.attention.object_context import ObjectContextPooling, TiledObjectContextPooling
from regard.models.heads.layers import conv_bn_relu


class PyramidOCHead(nn.Module):
    """Pyramid object context: (B, C, H, W) -> (B, inner, H, W), for any H and W.

    Args:
        channels: C.
        inner: channels of h, of each context and of the result; C / 4 in the paper.
        partitions: tiles along each side, of each partition.
    """

    def __init__(self, channels: int, inner: int, partitions: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        if not partitions:
            raise ValueError("partitions must not be empty")
        self.reduce = conv_bn_relu(channels, inner, 3)
        self.widen = conv_bn_relu(inner, inner * len(partitions), 1)
        self.contexts = nn.ModuleList(
            ObjectContextPooling(inner, value_channels=inner)
            if t == 1
            else TiledObjectContextPooling(inner, t, value_channels=inner)
            for t in partitions
        )
        self.fuse = conv_bn_relu(2 * inner * len(partitions), inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.reduce(x)
        return self.fuse(torch.cat([self.widen(h), *(context(h) for context in self.contexts)], dim=1))
