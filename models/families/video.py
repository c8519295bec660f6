"""Networks of videos: with state, or of several frames."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from torch import nn

from regard.models.attention import ATTENTION
from regard.models.backbones.by_name import build_backbone
from regard.models.catalog_entry import Network
from regard.models.networks.dff import DeepFeatureFlow
from regard.models.networks.fgfa import FlowGuidedAggregation
from regard.models.networks.interaction_frames import InteractionFrames
from regard.models.networks.lwdn import LocallyWeightedNeighbours
from regard.models.networks.nonlocal_frames import FORMS, NonLocalFrames
from regard.models.networks.thp import AdaptiveKeyFrames
from regard.models.networks.video_segmenter import VideoSegmenter
from regard.models.segmenters.by_name import build_segmenter
from regard.models.signatures import passes_options_to


def _with_segmenter(network: Callable[..., VideoSegmenter]) -> Callable[..., nn.Module]:
    """A video segmenter, which takes its segmenter's options and its own."""

    @passes_options_to(network)
    @passes_options_to(build_segmenter)
    def build(**options: Any) -> nn.Module:
        below = {name: options.pop(name) for name in _OF_SEGMENTER & options.keys()}
        return network(build_segmenter(**below), **options)

    return build


def _with_backbone(network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A classifier of frames, which takes its backbone's name and width and its own options."""

    @passes_options_to(network)
    def build(*, backbone: str = "resnet50", width: int = 64, **options: Any) -> nn.Module:
        return network(build_backbone(backbone, width), **options)

    return build


_OF_SEGMENTER = signature(build_segmenter).parameters.keys()
_SMALL = {"head": "fcn", "backbone": "resnet18", "width": 8, "inner": 8, "decoder": False}
_ONE_LEVEL = {**_SMALL, "flow_levels": 1}
_FRAMES = {"backbone": "resnet18", "width": 8, "frames": 3}

ENTRIES: dict[str, Network] = {
    "dff": Network(
        _with_segmenter(DeepFeatureFlow),
        "segmentation",
        "Deep Feature Flow for Video Recognition",
        2017,
        system="dff",
        small={**_ONE_LEVEL, "interval": 3},
    ),
    "fgfa": Network(
        _with_segmenter(FlowGuidedAggregation),
        "segmentation",
        "Flow-Guided Feature Aggregation for Video Object Detection",
        2017,
        system="fgfa",
        small={**_ONE_LEVEL, "past": 2},
    ),
    "thp": Network(
        _with_segmenter(AdaptiveKeyFrames),
        "segmentation",
        "Towards High Performance Video Object Detection",
        2018,
        system="thp",
        small=_ONE_LEVEL,
    ),
    "lwdn": Network(
        _with_segmenter(LocallyWeightedNeighbours),
        "segmentation",
        "Video Object Detection with Locally-Weighted Deformable Neighbors",
        2019,
        system="lwdn",
        small={**_SMALL, "interval": 3, "radius": 1},
    ),
    **{
        f"nonlocal_3d_{form}": Network(
            _with_backbone(partial(NonLocalFrames, form)),
            "classification",
            ATTENTION["nonlocal_dot"].paper,
            2018,
            system="nonlocal_3d",
            variant=form,
            small=_FRAMES,
        )
        for form in FORMS
    },
    "interaction_frames": Network(
        _with_backbone(InteractionFrames),
        "classification",
        ATTENTION["interaction_aware"].paper,
        2018,
        system="interaction_frames",
        small=_FRAMES,
    ),
}
