"""Convolutional Block Attention Module: a channel gate, then a spatial gate.

Woo, Park, Lee & Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, eqs. 1-3.
https://arxiv.org/abs/1807.06521

    Mc(x) = sigmoid(MLP(mean_hw(x)) + MLP(max_hw(x)))          MLP(z) = W1 relu(W0 z)
    Ms(x) = sigmoid(BN(conv7x7([max_c(x); mean_c(x)])))
    x' = Mc(x) * x;   y = Ms(x') * x'

The order [max; mean] and the BatchNorm (momentum 0.01, bias-free convolution) follow the authors' code.
"""

import torch
from torch import Tensor, nn


class ChannelGate(nn.Module):
    """Channel weights Mc from both the mean and the maximum over space: (B, C, H, W) -> (B, C, 1, 1).

    Args:
        channels: C.
        reduction: the hidden layer has C / reduction units; the paper uses 16.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        if min(channels, reduction) < 1 or channels % reduction:
            raise ValueError(
                f"channels must be a positive multiple of reduction, got {channels} and {reduction}"
            )
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // reduction, channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        peak = x.amax(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return (self.mlp(mean) + self.mlp(peak)).sigmoid()  # eq. 2


class SpatialGate(nn.Module):
    """Position weights Ms from the maximum and the mean over channels: (B, C, H, W) -> (B, 1, H, W).

    Args:
        kernel_size: side of the convolution, odd; the paper uses 7.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd and at least 1 to keep the map's size, got {kernel_size}"
            )
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)  # (B, 2, H, W)
        return self.bn(self.conv(pooled)).sigmoid()  # eq. 3


class CBAM(nn.Module):
    """Return Ms(x') * x', where x' = Mc(x) * x.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
        reduction: of the channel gate.
        kernel_size: of the spatial gate.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        self.channel_gate = ChannelGate(channels, reduction)
        self.spatial_gate = SpatialGate(kernel_size)

    def weights(self, x: Tensor) -> Tensor:
        """Product Mc(x) * Ms(x') of both gates, in (0, 1): (B, C, H, W)."""
        channel = self.channel_gate(x)
        return channel * self.spatial_gate(channel * x)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)  # eq. 1
