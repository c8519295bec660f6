"""A small network that sees how the picture moved between two frames.

Dosovitskiy et al., "FlowNet: Learning Optical Flow with Convolutional Networks", ICCV 2015.
https://arxiv.org/abs/1504.06852
Sun et al., "PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume", CVPR 2018, section 3.
https://arxiv.org/abs/1709.02371

    f^1, f^2, ...     features of each frame, each level half the size of the one before
    from the coarsest level l to the finest:
        M   <- M, twice as large            M = 0 before the coarsest
        c   = correlation(f_frame^l, W(f_key^l, M))
        h   = layers([c, f_frame^l, M])
        M   <- M + conv(h)

Deep feature flow and its successors take FlowNet-S, which finds displacements by convolutions alone and
learns from tens of thousands of pairs. Here correlation finds them, coarse to fine, as in PWC-Net, so that
minutes on few frames suffice; all levels share their layers, which is ours, as are the widths.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.parts.correlation import correlation
from regard.models.parts.warp import resize_flow, warp

WIDTHS = (16, 24, 32, 48)  # of the pyramid's layers, at strides 4, 8, 16 and 32
LEVEL = 24  # channels of each level's features
HIDDEN = 32
RADIUS = 3


class Motion(NamedTuple):
    """flow (B, 2, h, w) in its own pixels: where each position of the frame lies in the key frame. hidden
    (B, HIDDEN, h, w): what it was read from. Both at an eighth of the frames' size.
    """

    flow: Tensor
    hidden: Tensor


class FlowNetwork(nn.Module):
    """The motion between two frames: 2 x (B, 3, H, W) -> `Motion`. Untrained, it sees none: a flow of
    zeros.

    Args:
        levels: of its pyramid, from 1 to 3. The coarsest sees motion of RADIUS of its cells, which are of
            8, 16 or 32 pixels.
    """

    def __init__(self, levels: int = 3) -> None:
        super().__init__()
        if not 1 <= levels < len(WIDTHS):
            raise ValueError(f"levels must be from 1 to {len(WIDTHS) - 1}, got {levels}")
        widths = WIDTHS[: levels + 1]
        self.pyramid = nn.ModuleList(
            _conv(channels, width, stride=2) for channels, width in zip((3, *widths), widths, strict=False)
        )
        self.reduce = nn.ModuleList(nn.Conv2d(width, LEVEL, kernel_size=1) for width in widths[1:])
        seen = (2 * RADIUS + 1) ** 2 + LEVEL + 2
        self.layers = nn.Sequential(_conv(seen, 64), _conv(64, 48), _conv(48, HIDDEN))
        self.change = nn.Conv2d(HIDDEN, 2, kernel_size=3, padding=1)
        for parameter in self.change.parameters():
            nn.init.zeros_(parameter)

    def features(self, frame: Tensor) -> list[Tensor]:
        """Of each level, from fine to coarse: (B, LEVEL, h, w), of length 1 at every position."""
        x, found = F.avg_pool2d(frame, 2, ceil_mode=True), []
        for level in self.pyramid:
            x = level(x)
            found.append(x)
        return [F.normalize(reduce(x), dim=1) for reduce, x in zip(self.reduce, found[1:], strict=True)]

    def coarse_to_fine(self, frame: Tensor, key: Tensor) -> list[Motion]:
        """What each level finds."""
        levels = list(zip(self.features(frame), self.features(key), strict=True))
        coarsest, _ = levels[-1]
        flow, found = torch.zeros_like(coarsest[:, :2]), []
        for seen, before in reversed(levels):
            flow = resize_flow(flow, seen)
            alike = correlation(seen, warp(before, flow), RADIUS) * LEVEL  # cosines
            hidden = self.layers(torch.cat([alike, seen, flow], dim=1))
            flow = flow + self.change(hidden)
            found.append(Motion(flow, hidden))
        return found

    def forward(self, frame: Tensor, key: Tensor) -> Motion:
        return self.coarse_to_fine(frame, key)[-1]


def _conv(channels: int, out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size=3, stride=stride, padding=1), nn.LeakyReLU(0.1, inplace=True)
    )
