"""Backbones by name, for networks that take one or several as an option."""

from collections.abc import Callable
from functools import partial

from torch import nn

from regard.errors import UnknownName
from regard.models.backbones.resnet import DEPTHS, ResNet
from regard.models.backbones.vgg import CONVOLUTIONS, SMALLEST_IMAGE, VGG

BACKBONES: dict[str, Callable[..., VGG | ResNet]] = {
    **{f"vgg{depth}": partial(VGG, depth) for depth in CONVOLUTIONS},
    **{f"vgg{depth}_bn": partial(VGG, depth, batch_norm=True) for depth in CONVOLUTIONS},
    **{f"resnet{depth}": partial(ResNet, depth) for depth in DEPTHS},
}


def build_backbone(name: str, width: int = 64) -> VGG | ResNet:
    """A VGG, whose last map has stride 16, or a ResNet, whose last has stride 32; `width` is the channels of
    the first stage.

    Raises:
        UnknownName: no backbone has this name.
    """
    if name not in BACKBONES:
        raise UnknownName.among("backbone", name, BACKBONES)
    return BACKBONES[name](width=width)


def check_side(backbone: VGG | ResNet, **sides: int) -> None:
    """Refuse sides of images that the backbone is to take and that are too small for it, with a ValueError
    naming the option.
    """
    least = SMALLEST_IMAGE if isinstance(backbone, VGG) else 1
    for name, side in sides.items():
        if side < least:
            raise ValueError(f"{name} must be at least {least} for a {type(backbone).__name__}, got {side}")


def pool_to_stride_32(backbone: VGG | ResNet) -> nn.Module:
    """VGG's fifth pooling, which its last map comes before; nothing for a ResNet."""
    return nn.MaxPool2d(2) if isinstance(backbone, VGG) else nn.Identity()
