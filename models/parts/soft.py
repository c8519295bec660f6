"""Soft attention: the expectation of the values under a distribution over the keys.

Bahdanau, Cho & Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015,
eqs. 5-6. https://arxiv.org/abs/1409.0473. Keys apart from values: Miller et al., "Key-Value Memory Networks
for Directly Reading Documents", EMNLP 2016. https://arxiv.org/abs/1606.03126

    a_n = softmax_n(score(k_n, q)),   out = sum_n a_n v_n

The plain form is the one with v = k.
"""

import torch
from torch import Tensor, nn

from regard.models.parts.scoring import Scoring


class SoftAttention(nn.Module):
    """Return the values' mean for each query, weighted by softmax over the keys' scores.

    Shape: keys (B, N, Dk), queries (B, M, Dq), values (B, N, Dv) -> (B, M, Dv). Without values the keys are
    the values.

    Args:
        scoring: how a key and a query are compared.
    """

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.scoring = scoring

    def weights(self, keys: Tensor, query: Tensor) -> Tensor:
        """a_n of each query, rows sum to 1: (B, M, N)."""
        return self.scoring(keys, query).softmax(dim=2)

    def forward(self, keys: Tensor, query: Tensor, values: Tensor | None = None) -> Tensor:
        return torch.matmul(self.weights(keys, query), keys if values is None else values)
