"""CCNet's head: recurrent criss-cross attention between two convolutions, fused with its input.

Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019, section 3.1.
https://arxiv.org/abs/1811.11721

    h = conv(x);   h'' = RCCA(h);   y = conv([x; conv(h'')])
"""

from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.heads.context import ContextHead


class CCNetHead(ContextHead):
    """Context from two criss-cross passes: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result; C / 4 in the paper.
        recurrence: criss-cross passes, which share their weights.
    """

    def __init__(self, channels: int, inner: int, recurrence: int = 2) -> None:
        super().__init__(channels, inner, CrissCrossAttention(inner, recurrence=recurrence))
