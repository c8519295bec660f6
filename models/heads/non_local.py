"""The non-local network's head for segmentation: a non-local block between two convolutions, fused with its
input.

Wang, Girshick, Gupta & He, "Non-local Neural Networks", CVPR 2018. https://arxiv.org/abs/1711.07971

    h = conv(x);   y = conv([x; conv(NL(h))])

The paper puts its block into backbones; this is the form of segmentation toolboxes, with the embedded
Gaussian of the paper, whose scores are not divided by the square root of their depth as they are there.
"""

from regard.models.attention.non_local import EmbeddedGaussian
from regard.models.heads.context import ContextHead


class NonLocalHead(ContextHead):
    """Context from a non-local block: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result.
        subsample: side of the max pooling on keys and values; it must not be larger than the map.
    """

    def __init__(self, channels: int, inner: int, subsample: int = 1) -> None:
        super().__init__(channels, inner, EmbeddedGaussian(inner, subsample))
