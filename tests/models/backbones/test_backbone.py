"""What holds for every backbone, and that whatever takes a backbone takes any."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from regard.models.backbones.backbone import Backbone, backbones
from regard.models.backbones.by_name import pool_to_stride_32
from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.residual_attention import ResidualAttentionNetwork
from regard.models.backbones.resnet import ResNet
from regard.models.backbones.san import SAN
from regard.models.backbones.senet import se_resnext, senet154
from regard.models.backbones.strided import StridedCNN
from regard.models.backbones.vgg import VGG
from regard.models.catalog import build
from regard.models.classifiers import ImageClassifier, MobileNetV2Classifier
from regard.models.losses.criterion import cross_entropy
from regard.models.networks.acol import ACoL
from regard.models.networks.gain import GAIN
from regard.models.networks.interaction_aware import InteractionPyramid
from regard.models.networks.mil import MIL
from regard.models.segmenters import danet, deeplabv3, fcn, pan
from regard.models.training.loop import training_loss

BACKBONES: dict[str, Callable[[], Backbone]] = {
    "resnet18": lambda: ResNet(18, width=8),
    "resnet50_small": lambda: ResNet(50, width=8, stem="small"),
    "resnet50_dilated": lambda: ResNet(50, width=8, output_stride=8),
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v2_dilated": lambda: MobileNetV2(output_stride=16),
    "vgg16": lambda: VGG(16, width=8),
    "vgg19_bn": lambda: VGG(19, width=8, batch_norm=True),
    "san10": lambda: SAN(10, "pairwise", width=16, share=4, footprints=(3, 3, 3, 3, 3)),
    "senet154": lambda: senet154(width=4, groups=4, counts=(1, 2, 2, 1)),
    "se_resnext50": lambda: se_resnext(50, width=4, groups=4),
    "attention56": lambda: ResidualAttentionNetwork((1, 1, 1), width=4),
    "strided4": lambda: StridedCNN(4, width=8),
    "attention92_small": lambda: ResidualAttentionNetwork((1, 2, 3), width=4, stem="small"),
}
NETWORKS: dict[str, Callable[[Backbone], nn.Module]] = {
    "image classifier": lambda backbone: ImageClassifier(backbone, num_classes=3),
    "MobileNetV2's head": lambda backbone: MobileNetV2Classifier(backbone, num_classes=3),
    "GAIN": lambda backbone: GAIN(backbone, num_classes=3),
    "ACoL": lambda backbone: ACoL(backbone, num_classes=3, inner=8),
    "MIL": lambda backbone: MIL("attention", backbone, num_classes=3),
    "interaction": lambda backbone: InteractionPyramid(backbone, num_classes=3),
    "FCN": lambda backbone: fcn(backbone, num_classes=3, decoder=True),
    "DANet": lambda backbone: danet(backbone, num_classes=3, inner=8),
    "DeepLabv3": lambda backbone: deeplabv3(backbone, num_classes=3),
    "PAN": lambda backbone: pan(backbone, num_classes=3),
}


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    return BACKBONES[request.param]().eval()


@pytest.mark.parametrize("size", [(64, 96), (65, 77)])
def test_maps_are_as_stated(backbone: Backbone, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        maps = backbone.stages(torch.zeros(2, 3, *size))
    assert len(maps) == len(backbone.channels) == len(backbone.strides)
    assert backbone.strides == sorted(backbone.strides)
    for each, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        assert each.shape[:2] == (2, channels)
        assert all(
            side // stride <= found <= -(-side // stride)
            for side, found in zip(size, each.shape[2:], strict=True)
        )


def test_filters_make_a_stages_map(backbone: Backbone) -> None:
    """Changing them changes that stage's map and those after it, and none before."""
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    count = len(backbone.channels)
    with torch.no_grad():
        for stage in range(count):
            before = [each.clone() for each in backbone.stages(x)]
            filters = backbone.filters(stage)
            assert filters is backbone.filters(stage - count)
            assert filters.shape[0] == backbone.channels[stage]
            filters.mul_(1.5)
            changed = [not torch.equal(a, b) for a, b in zip(before, backbone.stages(x), strict=True)]
            assert changed[: stage + 1] == [False] * stage + [True]


def test_the_smallest_image_is_the_smallest(backbone: Backbone) -> None:
    least = backbone.smallest_image
    with torch.inference_mode():
        assert all(
            torch.isfinite(each).all() for each in backbone.stages(torch.zeros(1, 3, least, least + 9))
        )
        if least > 1:
            message = f"at least {least} x {least} for {type(backbone).__name__}, got {least - 1} x 64"
            with pytest.raises(ValueError, match=message):
                backbone.stages(torch.zeros(1, 3, least - 1, 64))


def test_the_last_map_is_pooled_to_stride_32(backbone: Backbone) -> None:
    last = backbone.stages(torch.zeros(1, 3, 64, 96))[-1]
    assert pool_to_stride_32(backbone)(last).shape[2:] == (2, 3)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vgg16", "san10", "senet154", "attention56"])
def test_what_takes_a_backbone_takes_any(name: str, kind: str) -> None:
    torch.manual_seed(0)
    made = BACKBONES[name]()
    network = NETWORKS[kind](made)
    assert backbones(network) == [made]
    x = torch.randn(2, 3, 64, 64)
    targets = torch.arange(2)
    with torch.inference_mode():
        answer = network.eval()(x)
    assert answer.shape[:2] == (2, 3)
    if answer.ndim == 4:
        assert answer.shape[2:] == x.shape[2:]
        targets = targets[:, None, None].expand(2, 64, 64)
    training_loss(network.train(), x, targets, cross_entropy()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())


def test_all_backbones_of_a_network_are_found() -> None:
    small = {"backbone": "resnet18", "width": 8, "num_classes": 3}
    with torch.device("meta"):
        assert len(backbones(build("macnn", **small))) == 5  # of the image, and of four parts
        assert len(backbones(build("racnn", **small))) == 3
        assert len(backbones(build("stn_affine", width=8))) == 1
        assert backbones(build("vit_tiny")) == []
