"""Dual attention: one module mixes positions, the other mixes channels.

Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019, eqs. 1-4.
https://arxiv.org/abs/1809.02983

    position:  s_ji = softmax_i(b_i . c_j),  y_j = alpha * sum_i s_ji d_i + x_j
    channel:   e = A A^T over positions,  s = softmax(max(e) - e),  y = beta * s A + x

b, c and d are 1x1 convolutions of x. The channel affinity `max(e) - e` is the authors' code: it turns similar
channels away from each other and keeps exp finite.
"""

import torch
from torch import Tensor, nn


class PositionAttention(nn.Module):
    """Return alpha * (every position's values, weighted by affinity) + x.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; memory grows with (H W)^2.

    Args:
        channels: C.
        reduction: queries and keys have C / reduction channels; the paper uses 8.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        if min(channels, reduction) < 1 or channels % reduction:
            raise ValueError(
                f"channels must be a positive multiple of reduction, got {channels} and {reduction}"
            )
        self.query = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.key = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.alpha = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (second axis) to every position (third), rows sum to 1: (B, HW, HW)."""
        q = self.query(x).flatten(2).transpose(1, 2)  # (B, HW, D)
        k = self.key(x).flatten(2)  # (B, D, HW)
        return torch.matmul(q, k).softmax(dim=2)  # eq. 1

    def forward(self, x: Tensor) -> Tensor:
        v = self.value(x).flatten(2)  # (B, C, HW)
        mixed = torch.matmul(v, self.weights(x).transpose(1, 2))  # (B, C, HW)
        return self.alpha * mixed.view_as(x) + x  # eq. 2


class ChannelAttention(nn.Module):
    """Return beta * (every channel, weighted by affinity) + x. Its only parameter is beta.

    Shape: (B, C, H, W) -> (B, C, H, W), for any C, H and W.
    """

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each channel (second axis) to every channel (third), rows sum to 1: (B, C, C)."""
        a = x.flatten(2)  # (B, C, HW)
        energy = torch.matmul(a, a.transpose(1, 2))  # (B, C, C)
        return (energy.amax(dim=2, keepdim=True) - energy).softmax(dim=2)  # eq. 3

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.matmul(self.weights(x), x.flatten(2))  # (B, C, HW)
        return self.beta * mixed.view_as(x) + x  # eq. 4
