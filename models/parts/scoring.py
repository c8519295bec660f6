"""Scoring functions: how well each key answers each query, before any normalization.

Additive    v^T tanh(W k + U q)    Bahdanau, Cho & Bengio, ICLR 2015. https://arxiv.org/abs/1409.0473
Dot         k^T q                  Luong, Pham & Manning, EMNLP 2015. https://arxiv.org/abs/1508.04025
Bilinear    k^T W q                the same, there called "general"
ScaledDot   k^T q / sqrt(D)        Vaswani et al., NeurIPS 2017, eq. 1. https://arxiv.org/abs/1706.03762
Cosine      k^T q / (|k| |q|)      Graves, Wayne & Danihelka, "Neural Turing Machines", 2014, eq. 6.
            https://arxiv.org/abs/1410.5401
Distance    -|k - q|               the negative, so that the nearest key scores highest
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Scoring(nn.Module, ABC):
    """Scores of every key for every query; higher is a better match.

    Shape: keys (B, N, Dk) and queries (B, M, Dq) -> (B, M, N), for any N and M. Dk and Dq are equal where no
    parameter joins them.
    """

    @abstractmethod
    def forward(self, keys: Tensor, query: Tensor) -> Tensor: ...


class Additive(Scoring):
    """v^T tanh(W k + U q), between -|v|_1 and |v|_1.

    Args:
        key_width: Dk.
        query_width: Dq.
        hidden: rows of W and U.
    """

    def __init__(self, key_width: int, query_width: int, hidden: int) -> None:
        super().__init__()
        _check_widths(key_width=key_width, query_width=query_width, hidden=hidden)
        self.key = nn.Linear(key_width, hidden, bias=False)
        self.query = nn.Linear(query_width, hidden, bias=False)
        self.v = nn.Linear(hidden, 1, bias=False)

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        return self.compared(self.key(keys), query)

    def compared(self, projected: Tensor, query: Tensor) -> Tensor:
        """Scores from W k, which need not be computed anew for every query: (B, N, hidden), (B, M, Dq) ->
        (B, M, N).
        """
        sums = self.query(query).unsqueeze(2) + projected.unsqueeze(1)  # (B, M, N, hidden)
        return self.v(sums.tanh()).squeeze(3)


class Dot(Scoring):
    """k^T q."""

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        _check_same_width(keys, query)
        return torch.matmul(query, keys.transpose(-2, -1))


class ScaledDot(Scoring):
    """k^T q / sqrt(D): of variance 1 where the components of k and q are independent and of variance 1. Takes
    leading axes of heads too.
    """

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        _check_same_width(keys, query)
        return torch.matmul(query / math.sqrt(query.shape[-1]), keys.transpose(-2, -1))


class Bilinear(Scoring):
    """k^T W q.

    Args:
        key_width: Dk.
        query_width: Dq.
    """

    def __init__(self, key_width: int, query_width: int) -> None:
        super().__init__()
        _check_widths(key_width=key_width, query_width=query_width)
        self.w = nn.Linear(query_width, key_width, bias=False)

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        return torch.matmul(self.w(query), keys.transpose(-2, -1))


class Cosine(Scoring):
    """Cosine of the angle between key and query, in [-1, 1]; 0 where either is zero."""

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        _check_same_width(keys, query)
        return torch.matmul(F.normalize(query, dim=2), F.normalize(keys, dim=2).transpose(-2, -1))


class Distance(Scoring):
    """Negative Euclidean distance, of the differences themselves: exactly 0 for a key that equals the
    query.
    """

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        _check_same_width(keys, query)
        return -torch.linalg.vector_norm(query.unsqueeze(2) - keys.unsqueeze(1), dim=3)


def _check_widths(**widths: int) -> None:
    for name, width in widths.items():
        if width < 1:
            raise ValueError(f"{name} must be at least 1, got {width}")


def _check_same_width(keys: Tensor, query: Tensor) -> None:
    if keys.shape[-1] != query.shape[-1]:
        raise ValueError(
            f"keys and queries must have the same width, got {keys.shape[-1]} and {query.shape[-1]}"
        )
