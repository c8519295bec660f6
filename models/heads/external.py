"""EANet's head: external attention between two convolutions.

Guo, Liu, Mu & Hu, "Beyond Self-attention: External Attention using Two Linear Layers for Visual Tasks", 2021,
section 3. https://arxiv.org/abs/2105.02358

    y = conv(EA(conv(x)))

The attended features have twice the channels of the result, 512 and 256 in the authors' code.
"""

from torch import Tensor, nn

from regard.models.attention.external import ExternalAttention
from regard.models.heads.layers import conv_bn_relu


class ExternalAttentionHead(nn.Module):
    """External attention: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of the result; C / 8 in the authors' code.
        slots: of the memory.
    """

    def __init__(self, channels: int, inner: int, slots: int = 64) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(channels, 2 * inner, 3)
        self.attention = ExternalAttention(2 * inner, slots)
        self.expand = conv_bn_relu(2 * inner, inner, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.attention(self.reduce(x)))
