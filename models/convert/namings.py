"""The names that torchvision, timm and mmsegmentation give backbones and the heads of FCN, DANet, CCNet,
GCNet, non-local networks and PSPNet.

torchvision     ResNet's, MobileNetV2's and VGG's are regard's own, without `backbone.` in classifiers;
                segmenters are backbone.*, classifier.N and aux_classifier.N
timm            ResNet as torchvision; squeeze and excitation is se.fc1, se.fc2
mmsegmentation  backbone.*, decode_head.* and auxiliary_head.*; convolutions with BatchNorm are NAME.conv and
                NAME.bn

Read from torchvision 0.28, timm 1.0.31, and mmsegmentation 1.2.2 with mmcv 2.1.0. mmsegmentation's non-local
head divides its scores by the square root of their depth, which regard's does not: the factor goes into
theta. Its convolution before a BatchNorm has no bias.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import InvalidInput
from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.resnet import ResNet
from regard.models.backbones.vgg import VGG
from regard.models.convert.rules import Fill, Naming, Refusal, Rule
from regard.models.heads.ccnet import CCNetHead
from regard.models.heads.danet import DANetHead
from regard.models.heads.fcn import FCNHead
from regard.models.heads.gcnet import GCNetHead
from regard.models.heads.non_local import NonLocalHead
from regard.models.heads.psp import PSPHead
from regard.models.segmenters import Segmenter

LIBRARIES = ("torchvision", "timm", "mmseg")

# the tensors of a backbone, in the libraries whose names are regard's own
_BACKBONES: dict[type[nn.Module], tuple[str, tuple[str, ...]]] = {
    ResNet: (r"(?:conv1|bn1|layer[1-4])\..+", LIBRARIES),
    MobileNetV2: (r"features\.(?:\d|1[0-7])\..+", ("torchvision",)),
    VGG: (r"features\..+", ("torchvision",)),
}
_DEEP_STEM = (
    "its ResNet begins with three 3x3 convolutions (resnet-v1c or -v1d, timm's resnet..t and ..d), regard's "
    "with one 7x7: convert a checkpoint of the plain ResNet (v1b)"
)
_AVERAGE_SHORTCUT = "its ResNet averages in its shortcuts (resnet-v1d), regard's does not"
_REFUSALS = (
    Refusal(r"(?:backbone\.)?(?:stem|conv1)\.\d+\..+", _DEEP_STEM),
    Refusal(r"(?:backbone\.)?layer\d\.\d+\.downsample\.2\..+", _AVERAGE_SHORTCUT),
)


def naming_of(library: str, network: nn.Module) -> Naming:
    """How a library names the tensors of such a network.

    Raises:
        InvalidInput: there is no map for this network.
    """
    if library not in LIBRARIES:
        raise InvalidInput(f"no names of {library!r} are known; known: {', '.join(LIBRARIES)}")
    backbone: type[Any] = type(getattr(network, "backbone", None))
    names, libraries = _BACKBONES.get(backbone, ("", ()))
    if library not in libraries:
        raise InvalidInput(
            f"no map from {library}'s names to {type(network).__name__}'s; there are maps for classifiers "
            "and segmenters on ResNet, and from torchvision's names to those on MobileNetV2 and VGG"
        )
    # torchvision's classifiers have them without `backbone.`, and become the backbone of segmenters too
    rules = [*_SQUEEZE_EXCITE, Rule(rf"(?:backbone\.)?({names})", r"backbone.\1")]
    if not isinstance(network, Segmenter):
        return Naming([*rules, *_CLASSIFIER], refusals=_REFUSALS)
    if library != "mmseg":
        return Naming([*rules, *_torchvision(network)], refusals=_REFUSALS)
    return Naming([*rules, *_mmseg(network)], _FILLS.get(type(network.head), ()), _REFUSALS)


def guess_library(keys: Mapping[str, Tensor]) -> str:
    """The library whose names these are."""
    if any(
        key.startswith(("decode_head.", "auxiliary_head.", "backbone.stem.")) or key == "head.fc.weight"
        for key in keys
    ):
        return "mmseg"
    return "timm" if any(".se." in key for key in keys) else "torchvision"


_SQUEEZE_EXCITE = (
    Rule(r"(?:backbone\.)?(layer\d\.\d+)\.se\.fc1\.(.+)", r"backbone.\1.attention.squeeze.\2"),
    Rule(r"(?:backbone\.)?(layer\d\.\d+)\.se\.fc2\.(.+)", r"backbone.\1.attention.excite.\2"),
)
_CLASSIFIER = (
    Rule(r"(?:head\.)?fc\.(.+)", r"fc.\1"),
    Rule(r"features\.18\.(.+)", r"widen.\1"),  # MobileNetV2's last convolution, and its linear layer
    Rule(r"(classifier\.1\..+)", r"\1"),
)


def _torchvision(network: Segmenter) -> Sequence[Rule]:
    if not isinstance(network.head, FCNHead):
        return ()
    return (
        Rule(r"classifier\.([01])\.(.+)", r"head.conv.\1.\2"),
        Rule(r"classifier\.4\.(.+)", r"classifier.1.\1"),
        Rule(r"aux_classifier\.([01])\.(.+)", r"auxiliary.0.conv.\1.\2"),
        Rule(r"aux_classifier\.4\.(.+)", r"auxiliary.1.1.\1"),
    )


def _mmseg(network: Segmenter) -> Sequence[Rule]:
    head = _HEADS.get(type(network.head))
    if head is None:
        raise InvalidInput(
            f"no map from mmsegmentation's names to {type(network.head).__name__}; there are maps for "
            f"{_known()}"
        )
    return [
        Rule(r"decode_head\.conv_seg\.(.+)", r"classifier.1.\1"),
        *_conv_module(r"auxiliary_head\.convs\.0", "auxiliary.0.conv"),
        Rule(r"auxiliary_head\.conv_seg\.(.+)", r"auxiliary.1.1.\1"),
        *head(),
    ]


def _conv_module(source: str, target: str) -> list[Rule]:
    """From mmcv's ConvModule to our nn.Sequential(convolution, BatchNorm, ReLU)."""
    return [
        Rule(rf"{source}\.conv\.(.+)", rf"{target}.0.\1"),
        Rule(rf"{source}\.bn\.(.+)", rf"{target}.1.\1"),
    ]


def _context() -> list[Rule]:
    """The two convolutions between which CCHead, GCHead and NLHead attend, and the third that fuses."""
    return [
        *_conv_module(r"decode_head\.convs\.0", "head.reduce"),
        *_conv_module(r"decode_head\.convs\.1", "head.expand"),
        *_conv_module(r"decode_head\.conv_cat", "head.fuse"),
    ]


def _gamma(source: str, target: str) -> Rule:
    return Rule(source, target, lambda scale: scale.reshape(-1), "a scalar there, a vector of one here")


def _fcn() -> list[Rule]:
    """With num_convs=1 and concat_input=False; its default of two convolutions has no equal here and leaves
    keys over.
    """
    return _conv_module(r"decode_head\.convs\.0", "head.conv")


def _danet() -> list[Rule]:
    return [
        *_conv_module(r"decode_head\.pam_in_conv", "head.position.0"),
        Rule(r"decode_head\.pam\.(query|key|value)_project\.(.+)", r"head.position.1.\1.\2"),
        _gamma(r"decode_head\.pam\.gamma\.scale", "head.position.1.alpha"),
        *_conv_module(r"decode_head\.pam_out_conv", "head.position.2"),
        *_conv_module(r"decode_head\.cam_in_conv", "head.channel.0"),
        _gamma(r"decode_head\.cam\.gamma\.scale", "head.channel.1.beta"),
        *_conv_module(r"decode_head\.cam_out_conv", "head.channel.2"),
        Rule(r"decode_head\.pam_conv_seg\.(.+)", r"position_classifier.1.\1"),
        Rule(r"decode_head\.cam_conv_seg\.(.+)", r"channel_classifier.1.\1"),
    ]


def _ccnet() -> list[Rule]:
    return [
        *_context(),
        Rule(r"decode_head\.cca\.(query|key|value)_conv\.(.+)", r"head.attention.\1.\2"),
        _gamma(r"decode_head\.cca\.gamma\.scale", "head.attention.gamma"),
    ]


def _gcnet() -> list[Rule]:
    return [
        *_context(),
        Rule(r"decode_head\.gc_block\.conv_mask\.(.+)", r"head.attention.key.\1"),
        Rule(r"decode_head\.gc_block\.channel_add_conv\.(.+)", r"head.attention.transform.\1"),
    ]


def _non_local() -> list[Rule]:
    return [
        *_context(),
        Rule(
            r"decode_head\.nl_block\.theta\.conv\.(.+)",
            r"head.attention.theta.\1",
            lambda theta: theta / theta.shape[0] ** 0.5,
            "divided by the square root of the scores' depth, which is done to the scores there",
        ),
        Rule(r"decode_head\.nl_block\.(g|phi)\.conv\.(.+)", r"head.attention.\1.\2"),
        Rule(r"decode_head\.nl_block\.conv_out\.conv\.(.+)", r"head.attention.project.\1"),
        Rule(r"decode_head\.nl_block\.conv_out\.bn\.(.+)", r"head.attention.bn.\1"),
    ]


def _psp() -> list[Rule]:
    return [
        Rule(r"decode_head\.psp_modules\.(\d)\.1\.conv\.(.+)", r"head.levels.\1.1.0.\2"),
        Rule(r"decode_head\.psp_modules\.(\d)\.1\.bn\.(.+)", r"head.levels.\1.1.1.\2"),
        *_conv_module(r"decode_head\.bottleneck", "head.fuse"),
    ]


_HEADS: dict[type[nn.Module], Callable[[], list[Rule]]] = {
    FCNHead: _fcn,
    DANetHead: _danet,
    CCNetHead: _ccnet,
    GCNetHead: _gcnet,
    NonLocalHead: _non_local,
    PSPHead: _psp,
}
_FILLS: dict[type[nn.Module], tuple[Fill, ...]] = {
    NonLocalHead: (
        Fill(
            r"head\.attention\.project\.bias",
            torch.zeros_like,
            "a BatchNorm follows, and there is no bias there",
        ),
    ),
}


def _known() -> str:
    return ", ".join(sorted(head.__name__ for head in _HEADS))
