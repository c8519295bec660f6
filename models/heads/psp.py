"""PSPNet's head: the means of the whole map and of its parts, beside every position.

Zhao, Shi, Qi, Wang & Jia, "Pyramid Scene Parsing Network", CVPR 2017, section 3.2.
https://arxiv.org/abs/1612.01105

    y = conv([x; up(conv1(mean of x in n x n bins)) for n = 1, 2, 3, 6])
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.models.heads.layers import conv_bn_relu, resize


class PSPHead(nn.Module):
    """Pyramid pooling: (B, C, H, W) -> (B, inner, H, W), for any H and W.

    Args:
        channels: C; each level has C / levels channels.
        inner: channels of the result; C / 4 in the paper.
        bins: along each side, of each level.
    """

    def __init__(self, channels: int, inner: int, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        if not bins or min(bins) < 1 or channels < 1 or channels % len(bins):
            raise ValueError(
                f"bins must be at least 1 each, and their number must divide channels, got {tuple(bins)} for "
                f"{channels} channels"
            )
        part = channels // len(bins)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(n), conv_bn_relu(channels, part, 1)) for n in bins
        )
        self.fuse = conv_bn_relu(channels + part * len(bins), inner, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(torch.cat([x, *(resize(level(x), x) for level in self.levels)], dim=1))
