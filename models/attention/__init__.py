"""Attention mechanisms, one file each, and the one list of them by name.

A mechanism takes a feature map (B, C, H, W) and returns one of the same shape. `ATTENTION` says how each is built for C channels and
where its paper places it in a backbone.
"""

from regard.errors import UnknownName
from regard.models.attention.cbam import CBAM
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.danet import ChannelAttention, PositionAttention
from regard.models.attention.non_local import Concatenation, DotProduct, EmbeddedGaussian, Gaussian
from regard.models.attention.placement import Mechanism, Placement
from regard.models.attention.se import SqueezeExcite

_SE = "Squeeze-and-Excitation Networks"
_CBAM = "CBAM: Convolutional Block Attention Module"
_NON_LOCAL = "Non-local Neural Networks"
_DANET = "Dual Attention Network for Scene Segmentation"
_CCNET = "CCNet: Criss-Cross Attention for Semantic Segmentation"

ATTENTION: dict[str, Mechanism] = {
    "se": Mechanism(SqueezeExcite, Placement.EVERY_BLOCK, _SE, 2018),
    "cbam": Mechanism(CBAM, Placement.EVERY_BLOCK, _CBAM, 2018),
    "nonlocal_gaussian": Mechanism(Gaussian, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "nonlocal_embedded_gaussian": Mechanism(EmbeddedGaussian, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "nonlocal_dot": Mechanism(DotProduct, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "nonlocal_concat": Mechanism(Concatenation, Placement.BEFORE_LAST_BLOCK, _NON_LOCAL, 2018),
    "pam": Mechanism(PositionAttention, Placement.AFTER_LAST_STAGE, _DANET, 2019),
    "chan_am": Mechanism(lambda _: ChannelAttention(), Placement.AFTER_LAST_STAGE, _DANET, 2019),
    "cca": Mechanism(CrissCrossAttention, Placement.AFTER_LAST_STAGE, _CCNET, 2019),
}

AttentionChoice = str | Mechanism | None


def find_attention(choice: AttentionChoice) -> Mechanism | None:
    """Return the mechanism that `choice` names, or `choice` itself; None stays None.

    Raises:
        UnknownName: no mechanism has this name.
    """
    if not isinstance(choice, str):
        return choice
    if choice not in ATTENTION:
        raise UnknownName.among("attention", choice, ATTENTION)
    return ATTENTION[choice]
