"""What the heads of CCNet, GCNet and the non-local network share: attention between two convolutions, fused
with its input.

For features x: h = conv(x), y = conv([x; conv(attention(h))]).
"""

import torch
from torch import Tensor, nn

from regard.models.heads.layers import conv_bn_relu


class ContextHead(nn.Module):
    """Context from an attention mechanism: (B, C, H, W) -> (B, inner, H, W).

    Args:
        channels: C.
        inner: channels of h and of the result.
        attention: (B, inner, H, W) -> (B, inner, H, W).
    """

    def __init__(self, channels: int, inner: int, attention: nn.Module) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(channels, inner, 3)
        self.attention = attention
        self.expand = conv_bn_relu(inner, inner, 3)
        self.fuse = conv_bn_relu(channels + inner, inner, 3)

    def attended(self, x: Tensor) -> Tensor:
        """What the mechanism gives, before any fusion: (B, C, H, W) -> (B, inner, H, W)."""
        return self.attention(self.reduce(x))

    def merge(self, x: Tensor, attended: Tensor) -> Tensor:
        """Fuse what was attended with the input: (B, inner, H, W)."""
        return self.fuse(torch.cat([x, self.expand(attended)], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(x, self.attended(x))
