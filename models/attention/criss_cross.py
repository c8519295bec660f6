"""Criss-cross attention: each position attends to the positions of its row and its column.

Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019, eqs. 1-2.
https://arxiv.org/abs/1811.11721

    d_{i,u} = q_u . k_i          for the H + W - 1 positions i in the row and the column of u
    a_u     = softmax_i(d_{i,u})
    y_u     = gamma * sum_i a_{i,u} v_i + x_u

Applied twice with the same weights (recurrence 2), information flows between any two positions. u itself lies
in both its row and its column; its copy in the column is masked, so that it counts once.
"""

import torch
from torch import Tensor, nn


class CrissCrossAttention(nn.Module):
    """Return gamma * CCA(x) + x, `recurrence` times over with shared weights.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W.

    Args:
        channels: C.
        reduction: queries and keys have C / reduction channels; the paper uses 8.
        recurrence: number of passes R; 2 reaches every position.
    """

    def __init__(self, channels: int, reduction: int = 8, recurrence: int = 2) -> None:
        super().__init__()
        if min(channels, reduction) < 1 or channels % reduction:
            raise ValueError(
                f"channels must be a positive multiple of reduction, got {channels} and {reduction}"
            )
        if recurrence < 1:
            raise ValueError(f"recurrence must be at least 1, got {recurrence}")
        self.recurrence = recurrence
        self.query = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.key = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position to its column (first H entries) and its row (last W):
        (B, H, W, H + W).
        """
        return cross_weights(self.query(x), self.key(x))

    def context(self, x: Tensor) -> Tensor:
        """What the cross of each position gives it: (B, C, H, W)."""
        return gathered(self.weights(x), self.value(x))

    def attend(self, x: Tensor) -> Tensor:
        """One pass: gamma * CCA(x) + x."""
        return self.gamma * self.context(x) + x

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.recurrence):
            x = self.attend(x)
        return x


def criss_cross(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """sum_i a_{i,u} v_i of eq. 2: q and k (B, D, H, W), v (B, C, H, W) -> (B, C, H, W)."""
    return gathered(cross_weights(q, k), v)


def cross_weights(q: Tensor, k: Tensor) -> Tensor:
    """Softmax of q . k over column and row: (B, D, H, W) each -> (B, H, W, H + W)."""
    height = q.shape[2]
    q = q.permute(0, 3, 2, 1)  # (B, W, H, D)
    column = torch.matmul(q, k.permute(0, 3, 1, 2))  # (B, W, H, D) @ (B, W, D, H) -> (B, W, H, H)
    itself = torch.eye(height, dtype=torch.bool, device=q.device)
    column = column.masked_fill(itself, torch.finfo(column.dtype).min).transpose(1, 2)  # (B, H, W, H)
    # (B, H, W, D) @ (B, H, D, W) -> (B, H, W, W)
    row = torch.matmul(q.transpose(1, 2), k.permute(0, 2, 1, 3))
    return torch.cat([column, row], dim=3).softmax(dim=3)


def gathered(weights: Tensor, v: Tensor) -> Tensor:
    """The values of column and row, weighed: (B, H, W, H + W) and (B, C, H, W) -> (B, C, H, W)."""
    to_column, to_row = weights.split([*v.shape[2:]], dim=3)  # (B, H, W, H), (B, H, W, W)
    # Values on the left keep the channel axis contiguous, which is twice as fast in ONNX Runtime.
    from_column = torch.matmul(v.permute(0, 3, 1, 2), to_column.permute(0, 2, 3, 1))  # (B, W, C, H)
    from_row = torch.matmul(v.permute(0, 2, 1, 3), to_row.transpose(2, 3))  # (B, H, C, W)
    return from_column.permute(0, 2, 3, 1) + from_row.permute(0, 2, 1, 3)
