"""OCNet's base head: object context fused with the features it was drawn from.

Yuan et al., "OCNet: Object Context Network for Scene Parsing", 2018, section 3.3.
https://arxiv.org/abs/1809.00916

    h = conv(x);   y = fuse([context(h); h])
"""

from torch import Tensor, nn

from regard.models.attention.object_context import ObjectContext
from regard.models.heads.layers import conv_bn_relu


class BaseOCHead(nn.Module):
    """Base object context: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result; C / 4 in the paper.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(channels, inner, 3)
        self.attention = ObjectContext(inner)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.reduce(x))
