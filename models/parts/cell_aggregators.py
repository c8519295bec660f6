"""One vector from the kept cells of a grid, whatever their order.

Malinowski, Doersch, Santoro & Battaglia, "Learning Visual Question Answering by Bootstrapping Hard
Attention", ECCV 2018. https://arxiv.org/abs/1808.00300
Relations: Santoro et al., "A simple neural network module for relational reasoning", NeurIPS 2017, eq. 1.
https://arxiv.org/abs/1706.01427
Pairs: Wang, Girshick, Gupta & He, "Non-local Neural Networks", CVPR 2018, eqs. 1 and 4.
https://arxiv.org/abs/1711.07971

    CellSum         sum_i m_i
    CellRelations   sum_ij g([m_i, m_j])
    CellPairs       sum_i (m_i + sum_j softmax_j(theta(m_i) . phi(m_j)) h(m_j))

i and j run over the kept cells. The last two cost the square of what they are given: the reason to keep few.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn


class CellAggregator(nn.Module, ABC):
    """Cells (B, n, C) and which of them are kept, 0 or 1, (B, n) -> (B, C). What is not kept has no part in
    it.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @abstractmethod
    def forward(self, cells: Tensor, kept: Tensor) -> Tensor: ...


class CellSum(CellAggregator):
    def forward(self, cells: Tensor, kept: Tensor) -> Tensor:
        return (cells * kept.unsqueeze(2)).sum(dim=1)


class CellRelations(CellAggregator):
    """g is two layers of ReLU units, the first of them split between the cells of a pair."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.left = nn.Linear(channels, channels)
        self.right = nn.Linear(channels, channels, bias=False)
        self.g = nn.Linear(channels, channels)

    def forward(self, cells: Tensor, kept: Tensor) -> Tensor:
        pairs = self.left(cells).unsqueeze(2) + self.right(cells).unsqueeze(1)  # (B, n, n, C)
        relations = self.g(pairs.relu()).relu()
        both = kept.unsqueeze(2) * kept.unsqueeze(1)
        return (relations * both.unsqueeze(3)).sum(dim=(1, 2))


class CellPairs(CellAggregator):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.theta = nn.Linear(channels, channels)
        self.phi = nn.Linear(channels, channels)
        self.h = nn.Linear(channels, channels)

    def weights(self, cells: Tensor, kept: Tensor) -> Tensor:
        """How much each cell takes of each kept one, rows sum to 1: (B, n, n)."""
        scores = torch.matmul(self.theta(cells), self.phi(cells).transpose(1, 2))
        return scores.masked_fill(kept.unsqueeze(1) == 0, -torch.inf).softmax(dim=2)

    def forward(self, cells: Tensor, kept: Tensor) -> Tensor:
        responses = cells + torch.matmul(self.weights(cells, kept), self.h(cells))
        return (responses * kept.unsqueeze(2)).sum(dim=1)


AGGREGATORS: dict[str, Callable[[int], CellAggregator]] = {
    "sum": CellSum,
    "relations": CellRelations,
    "pairs": CellPairs,
}
