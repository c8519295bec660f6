"""Activations that turn a soft mask branch's output into a mask.

Wang et al., "Residual Attention Network for Image Classification", CVPR 2017, eqs. 4-6.
https://arxiv.org/abs/1704.06904

    mixed     f1(x) = sigmoid(x)                               no constraint: the paper's choice, and the best
    channel   f2(x) = x_i / |x_i|                              x_i: all channels at position i
    spatial   f3(x) = sigmoid((x_c - mean(x_c)) / std(x_c))    x_c: channel c at all positions

The paper calls f2 channel attention and f3 spatial attention, after what each leaves free to vary.
"""

import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5  # added to the variance, so that a constant map has the mask 1/2


class MixedMask(nn.Module):
    """sigmoid(x): (B, C, H, W) -> (B, C, H, W), in (0, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()  # eq. 4


class ChannelMask(nn.Module):
    """x over its L2 norm at each position: (B, C, H, W) -> (B, C, H, W), in [-1, 1]. Where x is zero, so is
    the mask.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1)  # eq. 5


class SpatialMask(nn.Module):
    """Sigmoid of x standardized over each channel's positions: (B, C, H, W) -> (B, C, H, W), in (0, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        variance = centred.square().mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return (centred * (variance + EPSILON).rsqrt()).sigmoid()  # eq. 6


MASKS: dict[str, type[nn.Module]] = {"mixed": MixedMask, "channel": ChannelMask, "spatial": SpatialMask}
