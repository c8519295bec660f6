"""Backbones by name, for networks that take one or several as an option."""

from collections.abc import Callable
from functools import partial

from torch import nn

from regard.errors import UnknownName
from regard.models.backbones.backbone import Backbone
from regard.models.backbones.resnet import DEPTHS, ResNet
from regard.models.backbones.strided import StridedCNN
from regard.models.backbones.vgg import CONVOLUTIONS, VGG

BACKBONES: dict[str, Callable[..., Backbone]] = {
    **{f"vgg{depth}": partial(VGG, depth) for depth in CONVOLUTIONS},
    **{f"vgg{depth}_bn": partial(VGG, depth, batch_norm=True) for depth in CONVOLUTIONS},
    **{f"resnet{depth}": partial(ResNet, depth) for depth in DEPTHS},
    **{f"strided{layers}": partial(StridedCNN, layers) for layers in (3, 4)},
}


def build_backbone(name: str, width: int = 64) -> Backbone:
    """A VGG, whose last map has stride 16, a ResNet, whose last has stride 32, or three or four strided
    convolutions, strides 8 and 16; `width` is the channels of the first stage.

    Raises:
        UnknownName: no backbone has this name.
    """
    if name not in BACKBONES:
        raise UnknownName.among("backbone", name, BACKBONES)
    return BACKBONES[name](width=width)


def check_side(backbone: Backbone, **sides: int) -> None:
    """Refuse sides of images that the backbone is to take and that are too small for it, with a ValueError
    naming the option.
    """
    least, kind = backbone.smallest_image, type(backbone).__name__
    for name, side in sides.items():
        if side < least:
            raise ValueError(f"{name} must be at least {least} for a {kind}, got {side}")


def pool_to_stride_32(backbone: Backbone) -> nn.Module:
    """The max pooling that brings the last map to stride 32: VGG's fifth, and nothing for a ResNet."""
    return nn.MaxPool2d(32 // backbone.strides[-1]) if backbone.strides[-1] < 32 else nn.Identity()
