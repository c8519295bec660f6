"""DeepLabv3's head: a-trous spatial pyramid pooling, one feature at several dilations and the mean of the
whole image.

Chen, Papandreou, Schroff & Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017,
section 3.3. https://arxiv.org/abs/1706.05587

    y = conv1([conv1(x); conv3_r(x); conv3_2r(x); conv3_3r(x); up(conv1(mean_hw(x)))])

with r = 6 at output stride 16, 12 at 8.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.models.heads.layers import conv_bn_relu


class ASPPHead(nn.Module):
    """A-trous spatial pyramid pooling: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of each branch and of the result; 256 = C / 8 in the paper.
        dilations: of the 3x3 convolutions, each of at least 1.
    """

    def __init__(self, channels: int, inner: int, dilations: Sequence[int] = (6, 12, 18)) -> None:
        super().__init__()
        check_dilations(dilations)
        self.branches = nn.ModuleList([conv_bn_relu(channels, inner, 1)])
        self.branches.extend(conv_bn_relu(channels, inner, 3, dilation=dilation) for dilation in dilations)
        self.whole = conv_bn_relu(channels, inner, 1)
        self.fuse = conv_bn_relu((len(dilations) + 2) * inner, inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.branches]
        whole = self.whole(x.mean(dim=(2, 3), keepdim=True)).expand_as(maps[0])  # (B, inner, H, W)
        return self.fuse(torch.cat([*maps, whole], dim=1))


def check_dilations(dilations: Sequence[int]) -> None:
    """Refuse a dilation below one, with a ValueError."""
    if min(dilations, default=1) < 1:
        raise ValueError(f"dilations must be at least 1, got {tuple(dilations)}")
