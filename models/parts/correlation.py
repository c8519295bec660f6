"""Correlation of two maps: how alike they are at each displacement.

Dosovitskiy et al., "FlowNet: Learning Optical Flow with Convolutional Networks", ICCV 2015, eq. 1.
https://arxiv.org/abs/1504.06852

    c(p, d) = <f(p), g(p + d)> / C          d: every displacement of at most `radius` cells
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def correlation(f: Tensor, g: Tensor, radius: int) -> Tensor:
    """Shape: f, g (B, C, H, W) -> (B, (2 radius + 1)^2, H, W), displacements row by row from (-radius,
    -radius). Beyond the edge, g is 0.
    """
    side = 2 * radius + 1
    height, width = f.shape[2:]
    rows = torch.arange(height, device=f.device)[:, None] + torch.arange(side, device=f.device)
    around = F.pad(g, (radius,) * 4)[:, :, rows]  # (B, C, H, side, W + 2 radius)
    # every column of a row with every column of the rows around it, of which a band is wanted
    products = torch.matmul(f.permute(0, 2, 3, 1).unsqueeze(2), around.permute(0, 2, 3, 1, 4))
    # (B, H, side, W, side): rows one longer than they are turn the band upright
    band = F.pad(products.flatten(3), (0, width)).unflatten(3, (width, -1))[..., :side]
    return band.permute(0, 2, 4, 1, 3).flatten(1, 2) / f.shape[1]


def displacements(radius: int, like: Tensor) -> Tensor:
    """The displacements of `correlation` in its order, each to the right and down: ((2 radius + 1)^2, 2)."""
    line = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)
    down, across = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], dim=1)
