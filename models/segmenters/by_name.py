"""Segmenters by name, for networks that take one as options: a head on a backbone."""

from regard.errors import UnknownName
from regard.models.backbones.backbone import Backbone
from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.resnet import DEPTHS, ResNet
from regard.models.segmenters.builders import ccnet, fcn, gcnet
from regard.models.segmenters.segmenter import Segmenter

HEADS = {"ccnet": ccnet, "fcn": fcn, "gcnet": gcnet}
MOBILENET_V2 = "mobilenet_v2"
RESNETS = {f"resnet{depth}": depth for depth in DEPTHS}


def build_segmenter(
    *,
    num_classes: int = 19,
    head: str = "ccnet",
    backbone: str = MOBILENET_V2,
    width: int = 64,
    output_stride: int = 16,
    inner: int = 128,
    decoder: bool = True,
) -> Segmenter:
    """A segmenter; `width` is the channels of a ResNet's first stage, the rest is as in
    `regard.models.segmenters.builders`.

    Raises:
        UnknownName: no head or backbone has this name.
    """
    if head not in HEADS:
        raise UnknownName.among("head", head, HEADS)
    below = _backbone(backbone, width, output_stride)
    return HEADS[head](below, num_classes=num_classes, inner=inner, decoder=decoder)


def _backbone(name: str, width: int, output_stride: int) -> Backbone:
    if name == MOBILENET_V2:
        return MobileNetV2(output_stride=output_stride)
    if name not in RESNETS:
        raise UnknownName.among("backbone", name, [MOBILENET_V2, *RESNETS])
    return ResNet(RESNETS[name], output_stride=output_stride, width=width)
