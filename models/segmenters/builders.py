"""Builders of segmenters, one for each head: a backbone in, a segmenter out.

All take `num_classes` and `inner`, the channels of the head's result; all but `pan` take `decoder` and the
options of their head.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from regard.models.backbones.backbone import Backbone
from regard.models.heads.asp_oc import AspOCHead
from regard.models.heads.aspp import ASPPHead
from regard.models.heads.base_oc import BaseOCHead
from regard.models.heads.ccnet import CCNetHead
from regard.models.heads.external import ExternalAttentionHead
from regard.models.heads.fcn import FCNHead
from regard.models.heads.gcnet import GCNetHead
from regard.models.heads.non_local import NonLocalHead
from regard.models.heads.psp import PSPHead
from regard.models.heads.pyramid_oc import PyramidOCHead
from regard.models.segmenters.ccnet import ConsistentCCNet
from regard.models.segmenters.danet import DANet
from regard.models.segmenters.pan import PAN
from regard.models.segmenters.segmenter import Segmenter
from regard.models.signatures import passes_options_to

Builder = Callable[..., Segmenter]


def with_head(head: Callable[..., nn.Module], *, part: int = 4, dropout: float = 0.1) -> Builder:
    """A builder of segmenters with a head of one input: head(channels, inner, **its options).

    Args:
        head: its class.
        part: `inner` defaults to the backbone's channels divided by this.
        dropout: see `Segmenter`.
    """

    @passes_options_to(head)
    def build(
        backbone: Backbone,
        *,
        num_classes: int,
        inner: int | None = None,
        decoder: bool = False,
        **options: Any,
    ) -> Segmenter:
        inner = inner_channels(backbone, inner, part)
        made = head(backbone.channels[-1], inner, **options)
        return Segmenter(
            backbone, made, inner=inner, num_classes=num_classes, decoder=decoder, dropout=dropout
        )

    return build


def inner_channels(backbone: Backbone, inner: int | None, part: int) -> int:
    """`inner`, or a part of the backbone's channels where it is None.

    Raises:
        ValueError: it is less than 1.
    """
    if inner is not None and inner < 1:
        raise ValueError(f"inner must be at least 1, got {inner}")
    return backbone.channels[-1] // part if inner is None else inner


def scaled_dilations(backbone: Backbone) -> tuple[int, int, int]:
    """DeepLabv3's for the stride of the backbone's last map: 6, 12 and 18 at 16, twice as much at 8, half at
    32.
    """
    unit = 96 // backbone.strides[-1]
    return unit, 2 * unit, 3 * unit


@passes_options_to(with_head(CCNetHead))
def ccnet(
    backbone: Backbone,
    *,
    num_classes: int,
    inner: int | None = None,
    category_consistent: bool = False,
    **options: Any,
) -> Segmenter:
    """A segmenter with CCNet's head, and if it is to be, its category-consistent loss; `inner` defaults to a
    quarter of the channels.
    """
    build = ConsistentCCNet if category_consistent else with_head(CCNetHead)
    return build(backbone, num_classes=num_classes, inner=inner_channels(backbone, inner, 4), **options)


def danet(backbone: Backbone, *, num_classes: int, inner: int | None = None, decoder: bool = False) -> DANet:
    """A segmenter with DANet's head; `inner` defaults to a quarter of the backbone's channels."""
    return DANet(backbone, inner=inner_channels(backbone, inner, 4), num_classes=num_classes, decoder=decoder)


def pan(backbone: Backbone, *, num_classes: int, inner: int | None = None) -> PAN:
    """PAN; `inner` defaults to an eighth of the backbone's channels."""
    return PAN(backbone, inner=inner_channels(backbone, inner, 8), num_classes=num_classes)


def dilated(head: Callable[..., nn.Module], *, part: int = 4) -> Builder:
    """`with_head` for a head that takes `dilations`, which default to `scaled_dilations`."""
    builder = with_head(head, part=part)

    @passes_options_to(builder)
    def build(
        backbone: Backbone, *, num_classes: int, dilations: Sequence[int] | None = None, **options: Any
    ) -> Segmenter:
        scaled = scaled_dilations(backbone) if dilations is None else dilations
        return builder(backbone, num_classes=num_classes, dilations=scaled, **options)

    return build


asp_oc = dilated(AspOCHead)
deeplabv3 = dilated(ASPPHead, part=8)
fcn = with_head(FCNHead)
nonlocal_ = with_head(NonLocalHead)
gcnet = with_head(GCNetHead)
eanet = with_head(ExternalAttentionHead, part=8)
pspnet = with_head(PSPHead)
base_oc = with_head(BaseOCHead, dropout=0.05)  # as in the authors' code
pyramid_oc = with_head(PyramidOCHead, dropout=0.05)
