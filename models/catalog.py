"""The catalog: every complete network by name, with its builder, task and paper.

network = build("se_resnet50", num_classes=10)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from torch import nn

from regard.errors import InvalidInput, UnknownName
from regard.models.attention import ATTENTION
from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.resnet import DEPTHS, ResNet
from regard.models.classifiers import MobileNetV2Classifier, ResNetClassifier
from regard.models.segmenters import ccnet, danet, fcn

Task = Literal["classification", "segmentation"]


@dataclass(frozen=True)
class Network:
    """A catalog entry.

    Attributes:
        build: takes `num_classes` and the options of its builder as keywords.
        size: side of the images it is meant for by default, in pixels.
        fixed_size: it takes square images of the one size it was built for, its option `image_size`, and refuses others.
        small: options that make a small network of it, for tests and first trials; it takes images of `small_size`.
        small_size: side of the images that suit `small`, in pixels.
    """

    build: Callable[..., nn.Module]
    task: Task
    paper: str
    year: int
    size: int = 224
    fixed_size: bool = False
    small: Mapping[str, Any] = field(default_factory=dict)
    small_size: int = 32


def _segmenter_on_resnet(head: Callable[..., nn.Module], depth: int) -> Callable[..., nn.Module]:
    def build(*, num_classes: int = 19, output_stride: int = 8, width: int = 64, **options: Any) -> nn.Module:
        return head(ResNet(depth, output_stride=output_stride, width=width), num_classes=num_classes, **options)

    return build


def _segmenter_on_mobilenet_v2(head: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    def build(*, num_classes: int = 19, output_stride: int = 8, **options: Any) -> nn.Module:
        return head(MobileNetV2(output_stride=output_stride), num_classes=num_classes, **options)

    return build


_RESNET = "Deep Residual Learning for Image Recognition"
_MOBILENET_V2 = "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
_HEADS: dict[str, tuple[Callable[..., nn.Module], str, int]] = {
    "fcn": (fcn, "Fully Convolutional Networks for Semantic Segmentation", 2015),
    "danet": (danet, ATTENTION["pam"].paper, ATTENTION["pam"].year),
    "ccnet": (ccnet, ATTENTION["cca"].paper, ATTENTION["cca"].year),
}

_NARROW = {"width": 16}

CATALOG: dict[str, Network] = {
    **{f"resnet{depth}": Network(partial(ResNetClassifier, depth), "classification", _RESNET, 2016, small=_NARROW) for depth in DEPTHS},
    **{
        f"{name}_resnet{depth}": Network(
            partial(ResNetClassifier, depth, attention=name), "classification", mechanism.paper, mechanism.year, small=_NARROW
        )
        for name, mechanism in ATTENTION.items()
        for depth in DEPTHS
    },
    "mobilenet_v2": Network(MobileNetV2Classifier, "classification", _MOBILENET_V2, 2018),
    **{
        f"{name}_resnet{depth}": Network(_segmenter_on_resnet(head, depth), "segmentation", paper, year, small=_NARROW)
        for name, (head, paper, year) in _HEADS.items()
        for depth in DEPTHS
    },
    **{
        f"{name}_mobilenet_v2": Network(_segmenter_on_mobilenet_v2(head), "segmentation", paper, year)
        for name, (head, paper, year) in _HEADS.items()
    },
}


def find(name: str) -> Network:
    """Return the catalog's entry.

    Raises:
        UnknownName: with the nearest names.
    """
    if name not in CATALOG:
        raise UnknownName.among("network", name, CATALOG)
    return CATALOG[name]


def build(name: str, **options: Any) -> nn.Module:
    """Build a network of the catalog, untrained and in training mode.

    Raises:
        UnknownName: no network has this name.
        InvalidInput: the builder does not take an option, or refuses its value.
    """
    try:
        return find(name).build(**options)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be built with {options or 'no options'}: {error}") from None
