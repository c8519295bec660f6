"""The catalog: every complete network by name, with its builder, task and paper.

network = build("se_resnet50", classes=10)
"""

import inspect
from collections.abc import Callable
from functools import partial
from inspect import Parameter
from typing import Any

from torch import nn

from regard.errors import InvalidInput, UnknownName
from regard.models.attention import ATTENTION, AttentionChoice
from regard.models.attention.spatial_transformer import TRANSFORMATIONS
from regard.models.backbones.backbone import Backbone
from regard.models.backbones.mobilenet_v2 import MobileNetV2
from regard.models.backbones.residual_attention import ResidualAttentionNetwork
from regard.models.backbones.resnet import DEPTHS, ResNet
from regard.models.backbones.san import FORMS, LAYERS, SAN
from regard.models.backbones.senet import RESNEXT_DEPTHS, se_resnext, senet154
from regard.models.catalog_entry import Network
from regard.models.classifiers import ImageClassifier, MobileNetV2Classifier
from regard.models.families import ENTRIES
from regard.models.networks.acol import ACoL
from regard.models.networks.dvan import DVAN
from regard.models.networks.eamlp import EAMLP
from regard.models.networks.fcan import FCAN
from regard.models.networks.gain import GAIN
from regard.models.networks.interaction_aware import InteractionPyramid
from regard.models.networks.macnn import MACNN
from regard.models.networks.mgd import MGD
from regard.models.networks.mil import MIL, POOLINGS
from regard.models.networks.racnn import RACNN
from regard.models.networks.stn import SpatialTransformerNetwork
from regard.models.networks.two_level import TwoLevel
from regard.models.networks.vit import VisionTransformer
from regard.models.segmenters import (
    asp_oc,
    base_oc,
    ccnet,
    danet,
    deeplabv3,
    eanet,
    fcn,
    gcnet,
    nonlocal_,
    pan,
    pspnet,
    pyramid_oc,
)
from regard.models.signatures import keywords, options_of, passes_options_to, typed

_OF_RESNET = inspect.signature(ResNet).parameters.keys() - {"depth"}


def _on_resnet(classifier: Callable[..., nn.Module], depth: int) -> Callable[..., nn.Module]:
    """A classifier on a ResNet, which takes the options of both."""

    @passes_options_to(classifier)
    @passes_options_to(ResNet)
    def build(**options: Any) -> nn.Module:
        of_resnet = {name: options.pop(name) for name in _OF_RESNET & options.keys()}
        return classifier(ResNet(depth, **of_resnet), **options)

    return build


def _attending(depth: int, mechanism: str) -> Callable[..., nn.Module]:
    """A ResNet whose attention is its name's: another is refused."""
    on_resnet = _on_resnet(ImageClassifier, depth)

    @passes_options_to(on_resnet)
    def build(*, attention: AttentionChoice = mechanism, **options: Any) -> nn.Module:
        if attention != mechanism:
            raise ValueError(
                f"its attention is {mechanism!r}, as its name says; resnet{depth} takes any as an option"
            )
        return on_resnet(attention=mechanism, **options)

    return build


def _classifier(
    backbone: Callable[..., Backbone], head: Callable[..., nn.Module] = ImageClassifier
) -> Callable[..., nn.Module]:
    """A classifier whose options are its backbone's."""

    @passes_options_to(backbone)
    def build(*, num_classes: int = 1000, **options: Any) -> nn.Module:
        return head(backbone(**options), num_classes=num_classes)

    return build


def _segmenter_on_resnet(
    head: Callable[..., nn.Module], depth: int, multi_grid: tuple[int, ...] | None = None
) -> Callable[..., nn.Module]:
    @passes_options_to(head)
    def build(
        *,
        num_classes: int = 19,
        attention: AttentionChoice = None,
        output_stride: int = 8,
        width: int = 64,
        **options: Any,
    ) -> nn.Module:
        grid = multi_grid if output_stride == 8 else None
        backbone = ResNet(
            depth, attention=attention, output_stride=output_stride, multi_grid=grid, width=width
        )
        return head(backbone, num_classes=num_classes, **options)

    return build


def _segmenter_on_mobilenet_v2(head: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    @passes_options_to(head)
    def build(
        *,
        num_classes: int = 19,
        attention: AttentionChoice = None,
        output_stride: int = 8,
        **options: Any,
    ) -> nn.Module:
        backbone = MobileNetV2(attention=attention, output_stride=output_stride)
        return head(backbone, num_classes=num_classes, **options)

    return build


def _from_paper_of(
    mechanism: str, head: Callable[..., nn.Module]
) -> tuple[Callable[..., nn.Module], str, int]:
    """A head, and the paper and year of a mechanism."""
    return head, ATTENTION[mechanism].paper, ATTENTION[mechanism].year


_RESNET = "Deep Residual Learning for Image Recognition"
_RESIDUAL_ATTENTION = "Residual Attention Network for Image Classification"
_MOBILENET_V2 = "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
_VIT = "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale"
_HEADS: dict[str, tuple[Callable[..., nn.Module], str, int]] = {
    "fcn": (fcn, "Fully Convolutional Networks for Semantic Segmentation", 2015),
    "danet": _from_paper_of("pam", danet),
    "ccnet": _from_paper_of("cca", ccnet),
    "base_oc": _from_paper_of("object_context", base_oc),
    "pyramid_oc": _from_paper_of("object_context", pyramid_oc),
    "asp_oc": _from_paper_of("object_context", asp_oc),
    "nonlocal": _from_paper_of("nonlocal_embedded_gaussian", nonlocal_),
    "eanet": _from_paper_of("external_attention", eanet),
    "pspnet": (pspnet, "Pyramid Scene Parsing Network", 2017),
    "deeplabv3": (deeplabv3, "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017),
    "gcnet": _from_paper_of("gc", gcnet),
    "pan": (pan, "Pyramid Attention Network for Semantic Segmentation", 2018),
}

# with two more partitions it takes twice as long to trace
_SMALL_HEADS: dict[str, dict[str, Any]] = {"pyramid_oc": {"partitions": (1, 2)}}

# dilations of the last stage's blocks at output stride 8, as in the authors' code
_MULTI_GRID = {("danet", 50): (4, 8, 16), ("danet", 101): (4, 8, 16)}

_EAMLP = ATTENTION["external_attention"].paper
_GAIN = "Tell Me Where to Look: Guided Attention Inference Network"
_ACOL = "Adversarial Complementary Learning for Weakly Supervised Object Localization"
_MIL = "Attention-based Deep Multiple Instance Learning"

_TWO_LEVEL = (
    "The Application of Two-level Attention Models in Deep Convolutional Neural Network for "
    "Fine-grained Image Classification"
)
_MGD = "Multiple Granularity Descriptors for Fine-Grained Categorization"
_FCAN = "Fully Convolutional Attention Networks for Fine-Grained Recognition"
_RACNN = (
    "Look Closer to See Better: Recurrent Attention Convolutional Neural Network for Fine-grained Image "
    "Recognition"
)
_MACNN = "Learning Multi-Attention Convolutional Neural Network for Fine-Grained Image Recognition"
_DVAN = "Diversified Visual Attention Networks for Fine-Grained Object Classification"

_SAN = "Exploring Self-attention for Image Recognition"

_NARROW = {"width": 16}
# tracing takes a third of a second for each position
_SMALL_SAN = {"width": 16, "share": 4, "footprints": (3, 1, 1, 1, 3)}
_SMALL_RESNET = {"backbone": "resnet18", "width": 8}
_SMALL_VGG = {"backbone": "vgg16_bn", "width": 8}
_SMALL_VIT = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2}
_SMALL_EAMLP = {"image_size": 32, "token_width": 16, "width": 32, "depth": 2, "heads": 2}

CATALOG: dict[str, Network] = {
    **{
        f"resnet{depth}": Network(
            _on_resnet(ImageClassifier, depth),
            "classification",
            _RESNET,
            2016,
            system="resnet",
            variant=str(depth),
            small=_NARROW,
        )
        for depth in DEPTHS
    },
    **{
        f"{name}_resnet{depth}": Network(
            _attending(depth, name),
            "classification",
            mechanism.paper,
            mechanism.year,
            system=f"{name}_resnet",
            variant=str(depth),
            backbone=f"resnet{depth}",
            small=_NARROW,
        )
        for name, mechanism in ATTENTION.items()
        for depth in DEPTHS
    },
    **{
        f"san{depth}_{form}": Network(
            _classifier(partial(SAN, depth, form)),
            "classification",
            _SAN,
            2020,
            system=f"san_{form}",
            variant=str(depth),
            small=_SMALL_SAN,
        )
        for depth in LAYERS
        for form in FORMS
    },
    "senet154": Network(
        _classifier(senet154, partial(ImageClassifier, dropout=0.2)),
        "classification",
        ATTENTION["se"].paper,
        ATTENTION["se"].year,
        system="senet154",
        small={"width": 4, "groups": 4, "counts": (1, 2, 2, 1)},
    ),
    **{
        f"se_resnext{depth}": Network(
            _classifier(partial(se_resnext, depth)),
            "classification",
            ATTENTION["se"].paper,
            ATTENTION["se"].year,
            system="se_resnext",
            variant=str(depth),
            small={"width": 4, "groups": 4},
        )
        for depth in RESNEXT_DEPTHS
    },
    **{
        f"attention{depth}": Network(
            _classifier(partial(ResidualAttentionNetwork, modules)),
            "classification",
            _RESIDUAL_ATTENTION,
            2017,
            system="attention",
            variant=str(depth),
            small={"width": 4},
        )
        for depth, modules in {56: (1, 1, 1), 92: (1, 2, 3)}.items()
    },
    **{
        f"stn_{name}": Network(
            partial(SpatialTransformerNetwork, name),
            "classification",
            ATTENTION["stn"].paper,
            ATTENTION["stn"].year,
            system="stn",
            variant=name,
            small=_NARROW,
        )
        for name in TRANSFORMATIONS
    },
    **{
        f"interaction_pyramid_resnet{depth}": Network(
            _on_resnet(InteractionPyramid, depth),
            "classification",
            ATTENTION["interaction_aware"].paper,
            ATTENTION["interaction_aware"].year,
            system="interaction_pyramid_resnet",
            variant=str(depth),
            backbone=f"resnet{depth}",
            small=_NARROW,
        )
        for depth in DEPTHS
    },
    "mobilenet_v2": Network(
        _classifier(MobileNetV2, MobileNetV2Classifier),
        "classification",
        _MOBILENET_V2,
        2018,
        system="mobilenet_v2",
    ),
    **{
        f"vit_{name}": Network(
            partial(VisionTransformer, width=64 * heads, heads=heads),
            "classification",
            _VIT,
            2021,
            system="vit",
            variant=name,
            fixed_size=True,
            small=_SMALL_VIT,
        )
        for name, heads in {"tiny": 3, "small": 6, "base": 12}.items()
    },
    "eamlp_7": Network(
        EAMLP,
        "classification",
        _EAMLP,
        2021,
        system="eamlp",
        variant="7",
        fixed_size=True,
        small=_SMALL_EAMLP,
    ),
    "eamlp_14": Network(
        partial(EAMLP, width=384, depth=14, heads=6, mlp_ratio=3),
        "classification",
        _EAMLP,
        2021,
        system="eamlp",
        variant="14",
        fixed_size=True,
        small=_SMALL_EAMLP,
    ),
    **{
        f"gain_resnet{depth}": Network(
            _on_resnet(GAIN, depth),
            "classification",
            _GAIN,
            2018,
            system="gain_resnet",
            variant=str(depth),
            backbone=f"resnet{depth}",
            small=_NARROW,
        )
        for depth in (18, 50)
    },
    **{
        f"acol_resnet{depth}": Network(
            _on_resnet(ACoL, depth),
            "classification",
            _ACOL,
            2018,
            system="acol_resnet",
            variant=str(depth),
            backbone=f"resnet{depth}",
            small={"width": 16, "inner": 32},
        )
        for depth in (18, 50)
    },
    **{
        f"mil_{pooling}_resnet{depth}": Network(
            _on_resnet(partial(MIL, pooling), depth),
            "classification",
            _MIL,
            2018,
            system=f"mil_{pooling}_resnet",
            variant=str(depth),
            backbone=f"resnet{depth}",
            small=_NARROW,
        )
        for pooling in POOLINGS
        for depth in (18, 50)
    },
    "two_level": Network(
        TwoLevel,
        "classification",
        _TWO_LEVEL,
        2015,
        system="two_level",
        size=448,
        small={**_SMALL_RESNET, "patch_size": 32},
        small_size=64,
    ),
    "mgd": Network(
        MGD,
        "classification",
        _MGD,
        2015,
        system="mgd",
        small={**_SMALL_RESNET, "region_size": 32},
        small_size=64,
    ),
    "fcan": Network(
        FCAN,
        "classification",
        _FCAN,
        2016,
        system="fcan",
        size=448,
        small={**_SMALL_VGG, "window": 2},
        small_size=64,
    ),
    "racnn": Network(
        RACNN,
        "classification",
        _RACNN,
        2017,
        system="racnn",
        size=448,
        fixed_size=True,
        small={**_SMALL_VGG, "image_size": 64},
        small_size=64,
    ),
    "macnn": Network(
        MACNN,
        "classification",
        _MACNN,
        2017,
        system="macnn",
        size=448,
        small={**_SMALL_VGG, "part_size": 24, "part_resolution": 32},
        small_size=64,
    ),
    "dvan": Network(
        DVAN,
        "classification",
        _DVAN,
        2017,
        system="dvan",
        size=448,
        small={**_SMALL_VGG, "canvas_size": 64, "hidden": 32},
        small_size=64,
    ),
    **{
        f"{name}_resnet{depth}": Network(
            _segmenter_on_resnet(head, depth, _MULTI_GRID.get((name, depth))),
            "segmentation",
            paper,
            year,
            system=name,
            variant=f"resnet{depth}",
            backbone=f"resnet{depth}",
            small=_NARROW | _SMALL_HEADS.get(name, {}),
        )
        for name, (head, paper, year) in _HEADS.items()
        for depth in DEPTHS
    },
    **{
        f"{name}_mobilenet_v2": Network(
            _segmenter_on_mobilenet_v2(head),
            "segmentation",
            paper,
            year,
            system=name,
            variant="mobilenet_v2",
            backbone="mobilenet_v2",
            small=_SMALL_HEADS.get(name, {}),
        )
        for name, (head, paper, year) in _HEADS.items()
    },
    **ENTRIES,
}


def find(name: str) -> Network:
    """Return the catalog's entry.

    Raises:
        UnknownName: with the nearest names.
    """
    if name not in CATALOG:
        raise UnknownName.among("network", name, CATALOG, listed_by="`regard models`")
    return CATALOG[name]


def options(name: str) -> dict[str, Parameter]:
    """The options that a network takes, with their defaults and types, by name.

    Raises:
        UnknownName: no network has this name.
    """
    return options_of(find(name).build)


def build(name: str, /, **options: Any) -> nn.Module:
    """Build a network of the catalog, untrained and in training mode.

    Args:
        name: of the network.
        options: of its builder; the number of classes is `classes`, or `num_classes`.

    Raises:
        UnknownName: no network has this name, or the network no such option.
        InvalidInput: the builder refuses an option's value.
    """
    network = find(name)
    given = keywords(name, network.build, options)
    try:
        return network.build(**typed(network.build, given))
    except ValueError as error:
        raise InvalidInput(f"{name} cannot be built with {options or 'no options'}: {error}") from None
