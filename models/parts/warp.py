"""A map read where a flow says: the propagation of deep feature flow and its successors.

Zhu et al., "Deep Feature Flow for Video Recognition", CVPR 2017, eqs. 2-3. https://arxiv.org/abs/1611.07715

    W(F, M)(p) = sum_q G(q, p + M(p)) F(q)          G: the bilinear kernel

Positions beyond the edge read the edge. With align_corners=True the positions are whole numbers of pixels,
so that a flow of zeros is the identity and a flow of whole pixels a shift.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Read x at each position plus its flow, bilinearly.

    Shape: x (B, C, H, W), flow (B, 2, H', W) in pixels of x, first to the right, then down -> (B, C, H', W).
    H' is H, or a multiple of it: that many flows, one below the other, of the same map.
    """
    height, width = x.shape[2:]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    maps = flow.unflatten(2, (-1, height))  # (B, 2, flows, H, W)
    # torch.cond traces Python's max of two sizes as their min
    last_column, last_row = torch.sym_max(width - 1, 1), torch.sym_max(height - 1, 1)
    across = (columns + maps[:, 0]) * 2 / last_column - 1  # -1 and 1 are the centres of the outermost
    down = (rows + maps[:, 1]) * 2 / last_row - 1
    grid = torch.stack([across, down], dim=4).flatten(1, 2)  # (B, H', W, 2)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


def resize_flow(flow: Tensor, like: Tensor) -> Tensor:
    """A flow in the pixels of another map: (B, 2, h, w) -> (B, 2, H, W)."""
    grown = F.interpolate(flow, size=like.shape[2:], mode="bilinear", align_corners=False)
    across, down = grown.unbind(dim=1)
    return torch.stack(
        [across * (like.shape[3] / flow.shape[3]), down * (like.shape[2] / flow.shape[2])], dim=1
    )
