"""Self-attention on a feature map: every position attends to every position, with one head or several.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017, eq. 1 and section 3.2.2.
https://arxiv.org/abs/1706.03762

    head(x)  = softmax(q k^T / sqrt(D)) v        q, k, v: linear maps of x, D: the width of a query
    multi(x) = [head_1(x), ..., head_h(x)] W     D = C / h

The paper adds the result to x and normalizes. Here it is added to x alone, behind a gate or a projection that
starts at zero, so that a trained backbone stays as it was; the gate is that of Zhang et al., "Self-Attention
Generative Adversarial Networks", ICML 2019, eq. 3. https://arxiv.org/abs/1805.08318
"""

import torch
from torch import Tensor, nn

from regard.models.parts.scoring import ScaledDot


class SelfAttention(nn.Module):
    """Return gamma * head(x) + x, with gamma = 0 at first.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; memory grows with (H W)^2.

    Args:
        channels: C, the width of queries, keys and values.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.query = nn.Conv2d(channels, channels, kernel_size=1)
        self.key = nn.Conv2d(channels, channels, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.score = ScaledDot()

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (second axis) to every position (third), rows sum to 1: (B, HW, HW)."""
        query, key = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key))  # (B, HW, C)
        return self.score(key, query).softmax(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        value = self.value(x).flatten(2)  # (B, C, HW)
        return self.gamma * torch.matmul(value, self.weights(x).transpose(1, 2)).view_as(x) + x


class MultiHeadSelfAttention(nn.Module):
    """Return multi(x) + x, with W = 0 at first.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; memory grows with heads (H W)^2.

    Args:
        channels: C.
        heads: each has C / heads channels; the paper's base model has 8.
    """

    def __init__(self, channels: int, heads: int = 8) -> None:
        super().__init__()
        if min(channels, heads) < 1 or channels % heads:
            raise ValueError(f"channels must be a positive multiple of heads, got {channels} and {heads}")
        self.heads = heads
        self.query = nn.Conv2d(channels, channels, kernel_size=1)
        self.key = nn.Conv2d(channels, channels, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.project = nn.Conv2d(channels, channels, kernel_size=1)
        self.score = ScaledDot()
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]  # there is one

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (third axis) to every position (fourth), in each head, rows sum to 1:
        (B, heads, HW, HW).
        """
        # (B, heads, HW, D)
        query, key = (self._split(layer(x)).transpose(2, 3) for layer in (self.query, self.key))
        return self.score(key, query).softmax(dim=3)

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.matmul(self._split(self.value(x)), self.weights(x).transpose(2, 3))  # (B, heads, D, HW)
        return self.project(mixed.reshape(x.shape)) + x

    def _split(self, x: Tensor) -> Tensor:
        """One axis for the heads: (B, C, H, W) -> (B, heads, D, HW)."""
        return x.unflatten(1, (self.heads, -1)).flatten(3)
