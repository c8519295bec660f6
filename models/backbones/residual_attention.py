"""Residual Attention Network: stages of attention modules, each a trunk whose features a soft mask branch
weighs.

Wang et al., "Residual Attention Network for Image Classification", CVPR 2017, eq. 3.
https://arxiv.org/abs/1704.06904

    H(x) = (1 + M(x)) * T(x)

T: two residual units. M: down by max pooling and up again by interpolation, with a residual unit at each
scale and on each skip connection; then two 1x1 convolutions and an activation, see
`regard.models.parts.residual_masks`. The paper's p = 1, t = 2, r = 1.

The layers are those of the authors' published Caffe networks: the unit before a module feeds its trunk and
its mask, pooling has no padding and rounds up, and interpolation (Caffe's Interp) maps corners to corners and
takes the size of what it joins, so that any size works. They have 31.81 M and 52.47 M parameters; the paper
says 31.9 M and 51.3 M. Units are pre-activated bottlenecks: He et al., "Identity Mappings in Deep Residual
Networks", ECCV 2016. https://arxiv.org/abs/1603.05027
"""

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.backbone import Backbone, last_filters, results_at
from regard.models.parts.residual_masks import MASKS

LEVELS = (3, 2, 1)  # max poolings in the masks of the stages at strides 4, 8 and 16
SMALLEST_MAP = 8  # rows and columns of the first stage: its mask halves them three times, rounded down


class PreActivatedUnit(nn.Module):
    """x + residual(relu(BN(x))), with 1x1, 3x3 and 1x1 convolutions; where the shape changes, the shortcut is
    a convolution of relu(BN(x)).

    Shape: (B, C, H, W) -> (B, out, H / stride, W / stride), sizes rounded up.
    """

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        hidden = out // 4
        self.activate = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, out, 1, bias=False),
        )
        self.shortcut = None if channels == out else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.activate(x)
        return self.residual(active) + (x if self.shortcut is None else self.shortcut(active))


class Hourglass(nn.Module):
    """Pool, transform, and add what the scales below see; the result is at the pooled size.

    Shape: (B, C, H, W) -> (B, C, H / 2, W / 2), sizes rounded down; H and W at least 2.

    Args:
        channels: C.
        levels: number of poolings, at least 1.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.down = PreActivatedUnit(channels, channels)
        self.below = _Below(channels, levels - 1) if levels > 1 else nn.Identity()
        self.up = PreActivatedUnit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.below(self.down(self.pool(x))))


class _Below(nn.Module):
    """A skip connection around the hourglass of the scales below: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.skip = PreActivatedUnit(channels, channels)
        self.hourglass = Hourglass(channels, levels)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + _interpolate(self.hourglass(x), x)


class SoftMask(nn.Module):
    """The mask branch, and the trunk weighed by it.

    Shape: input (B, C, H, W) and trunk (B, C, H, W) -> (B, C, H, W).

    Args:
        channels: C.
        levels: number of poolings.
        activation: a name of `MASKS`.
    """

    def __init__(self, channels: int, levels: int, activation: str) -> None:
        super().__init__()
        self.hourglass = Hourglass(channels, levels)
        self.linear = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        self.activation = MASKS[activation]()

    def weights(self, x: Tensor) -> Tensor:
        """Mask M of every element: (B, C, H, W)."""
        return self.activation(self.linear(_interpolate(self.hourglass(x), x)))

    def forward(self, x: Tensor, trunk: Tensor) -> Tensor:
        return (1 + self.weights(x)) * trunk  # eq. 3


class AttentionModule(nn.Module):
    """A residual unit, trunk and mask side by side, and another unit: (B, C, H, W) -> (B, C, H, W). Arguments
    as of `SoftMask`.
    """

    def __init__(self, channels: int, levels: int, activation: str) -> None:
        super().__init__()
        self.before = PreActivatedUnit(channels, channels)
        self.trunk = nn.Sequential(PreActivatedUnit(channels, channels), PreActivatedUnit(channels, channels))
        self.mask = SoftMask(channels, levels, activation)
        self.after = PreActivatedUnit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        return self.after(self.mask(x, self.trunk(x)))


class ResidualAttentionNetwork(Backbone):
    """Feature maps of the four stages, at strides 4, 8, 16 and 32; the last one is normalized and activated.

    Shape: (B, 3, H, W) -> four maps (B, channels[i], H / stride_i, W / stride_i), for H and W of at least 31,
    or 8 with the small stem; the stem's pooling rounds sizes down, all else up.

    Args:
        modules: attention modules in each of the three stages: (1, 1, 1) is Attention-56, (1, 2, 3)
            Attention-92.
        width: channels of the stem and of the first stage's 3x3 convolutions; 64 in the paper.
        mask: "mixed" (the paper's best), "channel" or "spatial".
        stem: "imagenet" is the paper's 7x7 convolution and pooling, stride 4; "small" is a 3x3 convolution of
            stride 1, for images of CIFAR's size; all strides are then a quarter of those stated here.
    """

    former_names: ClassVar[Mapping[str, str]] = {"units.": "stages."}

    def __init__(
        self,
        modules: tuple[int, int, int],
        *,
        width: int = 64,
        mask: str = "mixed",
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        if mask not in MASKS:
            raise ValueError(f"mask must be one of {sorted(MASKS)}, got {mask!r}")
        if stem not in ("imagenet", "small"):
            raise ValueError(f"stem must be 'imagenet' or 'small', got {stem!r}")
        if stem == "imagenet":
            first: list[nn.Module] = [nn.Conv2d(3, width, 7, 2, 3, bias=False)]
            pool: list[nn.Module] = [nn.MaxPool2d(3, 2, ceil_mode=True)]
            self.smallest_image = 4 * SMALLEST_MAP - 1
        else:
            first, pool = [nn.Conv2d(3, width, 3, 1, 1, bias=False)], []
            self.smallest_image = SMALLEST_MAP
        self.stem = nn.Sequential(*first, nn.BatchNorm2d(width), nn.ReLU(inplace=True), *pool)
        self.channels = [4 * width, 8 * width, 16 * width, 32 * width]
        self.strides = [4, 8, 16, 32] if stem == "imagenet" else [1, 2, 4, 8]
        self.ends: list[int] = []  # of the stages, as indices of `units`
        units: list[nn.Module] = []
        channels = width
        for stage, (count, levels) in enumerate(zip(modules, LEVELS, strict=True)):
            out = self.channels[stage]
            units.append(PreActivatedUnit(channels, out, stride=1 if stage == 0 else 2))
            units += [AttentionModule(out, levels, mask) for _ in range(count)]
            channels = out
            self.ends.append(len(units) - 1)
        units += [PreActivatedUnit(channels, 2 * channels, stride=2)]
        units += [PreActivatedUnit(2 * channels, 2 * channels) for _ in range(2)]
        self.ends.append(len(units) - 1)
        self.units = nn.Sequential(*units)
        self.last = nn.Sequential(nn.BatchNorm2d(2 * channels), nn.ReLU(inplace=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, x: Tensor) -> list[Tensor]:
        """The four feature maps of an image batch (B, 3, H, W)."""
        self.check_image(x)
        *maps, last = results_at(self.ends, self.units, self.stem(x))
        return [*maps, self.last(last)]

    def filters(self, stage: int) -> Tensor:
        return last_filters(self.units[self.ends[stage]])


def _interpolate(x: Tensor, like: Tensor) -> Tensor:
    """Bring x to the size of `like`, corners on corners."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)
