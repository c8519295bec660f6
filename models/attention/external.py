"""External attention: positions attend to a few memory slots, learned once for all images, instead of to each
other.

Guo, Liu, Mu & Hu, "Beyond Self-attention: External Attention using Two Linear Layers for Visual Tasks", 2021,
eqs. 5-9. https://arxiv.org/abs/2105.02358

    a~ = F Mk^T              N positions x S slots
    a^ = softmax of a~ over the N positions
    a  = a^ / sum of a^ over the S slots
    out = a Mv

Work and memory grow with N S, not with N^2. The layers around it are those of the authors' code: with one
head, a 1x1 convolution before, a 1x1 convolution with BatchNorm after, the sum with x, and ReLU; with
several, a linear map to `expansion` times the width, as many times the heads, which share Mk and Mv, and a
linear map back. As a mechanism in a backbone it starts as the identity: the authors' last BatchNorm's scale
(1 in their code), or the last linear map, is 0 at first.
"""

import math

import torch
from torch import Tensor, nn


def normalize_twice(scores: Tensor, *, positions: int, slots: int) -> Tensor:
    """Softmax over the axis of the positions, then division by the sum over the axis of the slots."""
    shares = scores.softmax(dim=positions)
    # not + 1e-9, as in the authors' code: torch.onnx's rewriter takes what is below 1e-8 for 0
    return shares / shares.sum(dim=slots, keepdim=True).clamp(min=1e-9)


class ExternalAttention(nn.Module):
    """Return relu(BN(W2 external(W1 x)) + x); the identity at first, where x is not negative.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
        slots: S; 64 in the paper.
    """

    def __init__(self, channels: int, slots: int = 64) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        _check_slots(slots)
        self.enter = nn.Conv2d(channels, channels, kernel_size=1)
        self.memory_key = nn.Conv1d(channels, slots, kernel_size=1, bias=False)
        self.memory_value = nn.Conv1d(slots, channels, kernel_size=1, bias=False)
        self.project = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        for layer in (self.enter, self.memory_key, self.project):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_channels))
        with torch.no_grad():  # the memories start as one
            self.memory_value.weight.copy_(self.memory_key.weight.transpose(0, 1))
        nn.init.zeros_(self.bn.weight)

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (third axis) to every slot (second), columns sum to 1: (B, S, HW)."""
        return normalize_twice(self.memory_key(self.enter(x).flatten(2)), positions=2, slots=1)

    def forward(self, x: Tensor) -> Tensor:
        read = self.memory_value(self.weights(x)).view_as(x)
        return (self.bn(self.project(read)) + x).relu()


class TokenExternalAttention(nn.Module):
    """External attention of a sequence with several heads, which share both memories.

    Shape: (B, N, D) -> (B, N, D), for any N.

    Args:
        width: D.
        heads: before the expansion.
        expansion: how many times both the width and the number of heads grow inside; 4 in the authors' code.
        slots: S; 64 in the authors' code.
    """

    def __init__(self, width: int, heads: int = 8, expansion: int = 4, slots: int = 64) -> None:
        super().__init__()
        _check_slots(slots)
        if min(width, heads) < 1 or width % heads:
            raise ValueError(f"the width must be a positive multiple of heads, got {width} and {heads}")
        if expansion < 1:
            raise ValueError(f"expansion must be at least 1, got {expansion}")
        self.heads = heads * expansion
        self.enter = nn.Linear(width, width * expansion)
        self.memory_key = nn.Linear(width // heads, slots)
        self.memory_value = nn.Linear(slots, width // heads)
        self.project = nn.Linear(width * expansion, width)

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (third axis) to every slot (fourth), in each head, rows sum to 1:
        (B, heads, N, S).
        """
        query = self.enter(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, D / heads)
        return normalize_twice(self.memory_key(query), positions=2, slots=3)

    def read(self, weights: Tensor) -> Tensor:
        """What the weights take from the memory: (B, heads, N, S) -> (B, N, D)."""
        return self.project(self.memory_value(weights).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.weights(x))


class MultiHeadExternalAttention(TokenExternalAttention):
    """Return x plus the external attention of its positions; the identity at first.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W. Arguments as of `TokenExternalAttention`, with D =
    C.
    """

    def __init__(self, channels: int, heads: int = 8, expansion: int = 4, slots: int = 64) -> None:
        super().__init__(channels, heads, expansion, slots)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (third axis) to every slot (fourth), in each head, rows sum to 1:
        (B, heads, HW, S).
        """
        return super().weights(x.flatten(2).transpose(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.weights(x)).transpose(1, 2).reshape(x.shape) + x


def _check_slots(slots: int) -> None:
    if slots < 1:
        raise ValueError(f"slots must be at least 1, got {slots}")
