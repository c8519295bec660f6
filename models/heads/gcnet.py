"""GCNet's head for segmentation: one context for all positions, between two convolutions, fused with its
input.

Cao, Xu, Lin, Wei & Hu, "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", ICCV
Workshops 2019. https://arxiv.org/abs/1904.11492

    h = conv(x);   y = conv([x; conv(GC(h))])

The paper puts its block into backbones; this is the form of segmentation toolboxes, with a reduction of 4
inside the block.
"""

from regard.models.attention.global_context import GlobalContext
from regard.models.heads.context import ContextHead


class GCNetHead(ContextHead):
    """Context from a global-context block: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result.
        reduction: the block's bottleneck has inner / reduction channels.
    """

    def __init__(self, channels: int, inner: int, reduction: int = 4) -> None:
        super().__init__(channels, inner, GlobalContext(inner, reduction=reduction))
