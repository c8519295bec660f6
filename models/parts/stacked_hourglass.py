"""An hourglass of residual units that see two scales.

Newell, Yang & Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016.
https://arxiv.org/abs/1603.06937
Its unit: Chu et al., "Multi-Context Attention for Human Pose Estimation", CVPR 2017, section 5.
https://arxiv.org/abs/1702.07432

    HRU(x) = x + A(x) + P(x)

A: a pre-activated bottleneck. P: batch norm, ReLU, max pooling, a 3x3 convolution, a pre-activated one, and
up again to x's size by the nearest. Where the number of channels changes, x goes through a 1x1 convolution.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def activated(channels: int, out: int, kernel: int) -> nn.Sequential:
    """Batch norm, ReLU and a convolution that keeps the size."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, out, kernel, padding=kernel // 2)
    )


class HourglassResidualUnit(nn.Module):
    """(B, C, H, W) -> (B, out, H, W), H and W at least 2."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        hidden = out // 2
        self.bottleneck = nn.Sequential(
            activated(channels, hidden, 1), activated(hidden, hidden, 3), activated(hidden, out, 1)
        )
        self.wide = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, out, 3, padding=1),
            activated(out, out, 3),
        )
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.bottleneck(x) + upsampled(self.wide(x), x)


class StackedHourglass(nn.Module):
    """What each scale sees on the way up, the finest first: (B, C, H, W) -> (B, C, H, W), (B, C, H/2, W/2),
    ..., (B, C, H/2^depth, W/2^depth).

    Args:
        channels: C.
        depth: number of poolings; H and W are multiples of 2^(depth + 1).
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.skips, self.downs, self.ups = (
            nn.ModuleList(HourglassResidualUnit(channels, channels) for _ in range(depth)) for _ in range(3)
        )
        self.bottom = HourglassResidualUnit(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        skipped = []
        for skip, down in zip(self.skips, self.downs, strict=True):
            skipped.append(skip(x))
            x = down(F.max_pool2d(x, 2))
        scales = [self.bottom(x)]
        for up, kept in zip(self.ups, reversed(skipped), strict=True):
            scales.append(kept + upsampled(up(scales[-1]), kept))
        return tuple(reversed(scales))


def upsampled(x: Tensor, to: Tensor) -> Tensor:
    """Maps brought to the size of others by the nearest."""
    return F.interpolate(x, size=to.shape[2:], mode="nearest")
