"""Which cells of a grid hard attention keeps: by the length of their features, without a parameter.

Malinowski, Doersch, Santoro & Battaglia, "Learning Visual Question Answering by Bootstrapping Hard
Attention", ECCV 2018. https://arxiv.org/abs/1808.00300

    p_i             = ||m_i||_2                              the presence of cell i = 1..N
    TopCells        the k cells of the greatest presence     (HAN)
    AdaptiveCells   all cells with softmax(p)_i >= 1 / N     (AdaHAN)

Nothing passes a gradient to the choice itself; what is kept has its own, so that cells that help grow. Both
are dense operations, without a list of positions of unknown length: a kept cell is one in a mask of N.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Presence(nn.Module, ABC):
    """The cells to attend to.

    Shape: cells (B, N, C) -> kept cells (B, n, C) and which of them count (B, n), with n fixed by N.
    """

    def presence(self, cells: Tensor) -> Tensor:
        """p: (B, N, C) -> (B, N)."""
        return torch.linalg.vector_norm(cells, dim=2)

    @abstractmethod
    def mask(self, cells: Tensor) -> Tensor:
        """1 for a kept cell, 0 for the others: (B, N, C) -> (B, N)."""

    @abstractmethod
    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]: ...


class TopCells(Presence):
    """Exactly `count` cells, the first among equals; what follows has only these to work on.

    Args:
        count: k.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count

    def _best(self, cells: Tensor) -> Tensor:
        """Indices of the kept cells: (B, N, C) -> (B, k)."""
        if not torch.compiler.is_exporting() and cells.shape[1] < self.count:
            raise ValueError(f"a grid must have at least count = {self.count} cells, got {cells.shape[1]}")
        return self.presence(cells).topk(self.count, dim=1).indices

    def mask(self, cells: Tensor) -> Tensor:
        return torch.zeros_like(cells[:, :, 0]).scatter(1, self._best(cells), 1.0)

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        kept = cells.gather(1, self._best(cells).unsqueeze(2).expand(-1, -1, cells.shape[2]))
        return kept, torch.ones_like(kept[:, :, 0])


class AdaptiveCells(Presence):
    """As many cells as stand out, at least one: softmax(p)_i >= 1 / N is exp(p_i) >= mean_j exp(p_j), and the
    greatest is never below the mean, not even by rounding.
    """

    def mask(self, cells: Tensor) -> Tensor:
        p = self.presence(cells)
        shares = (p - p.amax(dim=1, keepdim=True)).exp()
        return (shares >= shares.mean(dim=1, keepdim=True)).to(cells.dtype)

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        return cells, self.mask(cells)
