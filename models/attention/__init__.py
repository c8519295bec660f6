"""Attention mechanisms, one file each, and the one list of them by name.

A mechanism takes a feature map (B, C, H, W) and returns one of the same shape. `ATTENTION` says how each is
built for C channels and where its paper places it in a backbone.
"""

from functools import partial

from regard.errors import UnknownName
from regard.models.attention.augmented_conv import AugmentedConv
from regard.models.attention.bam import BAM
from regard.models.attention.cbam import CBAM
from regard.models.attention.cgnl import CGNL, CGNLx
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.danet import ChannelAttention, PositionAttention
from regard.models.attention.external import ExternalAttention, MultiHeadExternalAttention
from regard.models.attention.generalized import GeneralizedAttention
from regard.models.attention.global_context import GlobalContext, SimplifiedNonLocal
from regard.models.attention.interaction_aware import InteractionAware
from regard.models.attention.local_window import LocalSelfAttention
from regard.models.attention.non_local import Concatenation, DotProduct, EmbeddedGaussian, Gaussian
from regard.models.attention.object_context import ObjectContext
from regard.models.attention.saliency import Saliency
from regard.models.attention.se import SqueezeExcite
from regard.models.attention.self_attention import MultiHeadSelfAttention, SelfAttention
from regard.models.attention.simam import SimAM
from regard.models.attention.spatial_transformer import spatial_transformer
from regard.models.placement import Mechanism, Placement

_SE = "Squeeze-and-Excitation Networks"
_CBAM = "CBAM: Convolutional Block Attention Module"
_BAM = "BAM: Bottleneck Attention Module"
_STN = "Spatial Transformer Networks"
_NON_LOCAL = "Non-local Neural Networks"
_CGNL = "Compact Generalized Non-local Network"
_INTERACTION = "Interaction-aware Spatio-temporal Pyramid Attention Networks for Action Classification"
_GCNET = "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond"
_EMPIRICAL = "An Empirical Study of Spatial Attention Mechanisms in Deep Networks"
_LOCAL = "Stand-Alone Self-Attention in Vision Models"
_DANET = "Dual Attention Network for Scene Segmentation"
_OCNET = "OCNet: Object Context Network for Scene Parsing"
_AA = "Attention Augmented Convolutional Networks"
_CCNET = "CCNet: Criss-Cross Attention for Semantic Segmentation"
_TRANSFORMER = "Attention Is All You Need"
_GATING = "Language Modeling with Gated Convolutional Networks"
_EXTERNAL = "Beyond Self-attention: External Attention using Two Linear Layers for Visual Tasks"
_SIMAM = "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks"


def _global_context(channels: int) -> GlobalContext:
    return GlobalContext(channels, reduction=min(16, channels // 2))  # the paper's 16 from 32 channels on


ATTENTION: dict[str, Mechanism] = {
    "se": Mechanism(SqueezeExcite, Placement.EVERY_BLOCK, _SE, 2018),
    "cbam": Mechanism(CBAM, Placement.EVERY_BLOCK, _CBAM, 2018),
    "bam": Mechanism(BAM, Placement.BETWEEN_STAGES, _BAM, 2018),
    "stn": Mechanism(spatial_transformer, Placement.BETWEEN_STAGES, _STN, 2015),
    "nonlocal_gaussian": Mechanism(Gaussian, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "nonlocal_embedded_gaussian": Mechanism(EmbeddedGaussian, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "nonlocal_dot": Mechanism(DotProduct, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "nonlocal_concat": Mechanism(Concatenation, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "cgnl": Mechanism(CGNL, Placement.BEFORE_LAST_BLOCK, _CGNL, 2018),
    "cgnlx": Mechanism(CGNLx, Placement.BEFORE_LAST_BLOCK, _CGNL, 2018),
    "interaction_aware": Mechanism(InteractionAware, Placement.AFTER_LAST_STAGE, _INTERACTION, 2018),
    "snl": Mechanism(SimplifiedNonLocal, Placement.EVERY_BLOCK_FROM_RES3, _GCNET, 2019),
    "gc": Mechanism(_global_context, Placement.EVERY_BLOCK_FROM_RES3, _GCNET, 2019),
    **{
        f"generalized_attention_{terms}": Mechanism(
            partial(GeneralizedAttention, terms=terms), Placement.BEFORE_LAST_BLOCK, _EMPIRICAL, 2019
        )
        for terms in ("1111", "1000", "0100", "0010", "0001", "0011")
    },
    "local": Mechanism(LocalSelfAttention, Placement.BEFORE_LAST_BLOCK, _LOCAL, 2019),
    "pam": Mechanism(PositionAttention, Placement.AFTER_LAST_STAGE, _DANET, 2019),
    "chan_am": Mechanism(lambda _: ChannelAttention(), Placement.AFTER_LAST_STAGE, _DANET, 2019),
    "object_context": Mechanism(ObjectContext, Placement.AFTER_LAST_STAGE, _OCNET, 2018),
    "cca": Mechanism(CrissCrossAttention, Placement.AFTER_LAST_STAGE, _CCNET, 2019),
    "aa_conv": Mechanism(AugmentedConv, Placement.SPATIAL_FROM_RES3, _AA, 2019),
    "self_attention": Mechanism(SelfAttention, Placement.AFTER_LAST_STAGE, _TRANSFORMER, 2017),
    "multi_head": Mechanism(MultiHeadSelfAttention, Placement.AFTER_LAST_STAGE, _TRANSFORMER, 2017),
    "saliency": Mechanism(Saliency, Placement.EVERY_BLOCK, _GATING, 2017),
    "external_attention": Mechanism(ExternalAttention, Placement.AFTER_LAST_STAGE, _EXTERNAL, 2021),
    "external_multi_head": Mechanism(MultiHeadExternalAttention, Placement.AFTER_LAST_STAGE, _EXTERNAL, 2021),
    "simam": Mechanism(lambda _: SimAM(), Placement.AFTER_SPATIAL, _SIMAM, 2021),
}

AttentionChoice = str | Mechanism | None


def find_attention(choice: AttentionChoice) -> Mechanism | None:
    """Return the mechanism that `choice` names, or `choice` itself; None stays None.

    Raises:
        UnknownName: no mechanism has this name.
        TypeError: it is neither.
    """
    if not isinstance(choice, str | Mechanism | None):
        raise TypeError(f"attention must be a name, a Mechanism or None, got {choice!r}")
    if not isinstance(choice, str):
        return choice
    if choice not in ATTENTION:
        raise UnknownName.among("attention", choice, ATTENTION, listed_by="`regard models resnet18`")
    return ATTENTION[choice]
