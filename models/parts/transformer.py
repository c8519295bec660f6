"""A Transformer encoder: self-attention and a perceptron by turns, each normalized before and added to what
came in.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017. https://arxiv.org/abs/1706.03762. Normalizing
before rather than after, GELU, and the names (those of timm's vision transformers, so that public checkpoints
load) are of Dosovitskiy et al., ICLR 2021, eqs. 2-3; see `vit`.

    x' = x + attention(norm1(x)),   y = x' + mlp(norm2(x'))
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.parts.scoring import ScaledDot


class TokenSelfAttention(nn.Module):
    """[head_1(x), ..., head_h(x)] W with head(x) = softmax(q k^T / sqrt(D / h)) v.

    Shape: (B, N, D) -> (B, N, D), for any N.

    Args:
        width: D.
        heads: h.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if min(width, heads) < 1 or width % heads:
            raise ValueError(f"the width must be a positive multiple of heads, got {width} and {heads}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.score = ScaledDot()

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Attention of each token (third axis) to every token (fourth), in each head, rows sum to 1:
        (B, heads, N, N).
        """
        return self.score(key, query).softmax(dim=3)

    def forward(self, x: Tensor) -> Tensor:
        # (B, heads, N, D / heads)
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = torch.matmul(self.weights(query, key), value)  # (B, heads, N, D / heads)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Two linear layers with GELU between: (..., D) -> (..., D)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"the perceptron's hidden layer must have at least 1 unit, got {hidden}")
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class EncoderBlock(nn.Module):
    """One layer of the encoder: (B, N, D) -> (B, N, D).

    Args:
        width: D.
        attention: (B, N, D) -> (B, N, D).
        hidden: units of the perceptron's hidden layer.
        eps: of the normalizations.
    """

    def __init__(self, width: int, attention: nn.Module, *, hidden: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = attention
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Perceptron(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def initialize_linears(network: nn.Module) -> None:
    """Truncated normal weights of deviation 0.02, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
