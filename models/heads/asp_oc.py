"""OCNet's a-trous head: object context beside convolutions at several dilations.

Yuan et al., "OCNet: Object Context Network for Scene Parsing", 2018, section 3.3.
https://arxiv.org/abs/1809.00916

    h = conv(x)
    y = conv1([conv1(context(conv(h))); conv1(h); conv3_r(h); conv3_2r(h); conv3_3r(h)]),   r = 12 at stride 8

As in the authors' code the context is that of a map pooled by 2, and the branches have half the channels of
h.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.models.attention.object_context import ObjectContextPooling
from regard.models.heads.aspp import check_dilations
from regard.models.heads.layers import conv_bn_relu


class AspOCHead(nn.Module):
    """A-trous spatial pyramid pooling with object context: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result; C / 4 in the paper.
        dilations: of the 3x3 convolutions, each of at least 1.
    """

    def __init__(self, channels: int, inner: int, dilations: Sequence[int] = (12, 24, 36)) -> None:
        super().__init__()
        if inner % 4:
            raise ValueError(
                "inner must be a multiple of 4, as branches have half the channels and their keys a "
                f"quarter, got {inner}"
            )
        check_dilations(dilations)
        part = inner // 2
        self.reduce = conv_bn_relu(channels, inner, 3)
        context = ObjectContextPooling(part, value_channels=part, pool=2)
        self.branches = nn.ModuleList(
            [
                nn.Sequential(conv_bn_relu(inner, part, 3), context, conv_bn_relu(part, part, 1)),
                conv_bn_relu(inner, part, 1),
            ]
        )
        self.branches.extend(conv_bn_relu(inner, part, 3, dilation=dilation) for dilation in dilations)
        self.fuse = conv_bn_relu(len(self.branches) * part, inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.reduce(x)
        return self.fuse(torch.cat([branch(h) for branch in self.branches], dim=1))
