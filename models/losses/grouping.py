"""MA-CNN's losses of channel grouping: each part's map is compact, and no two lie on the same place.

Zheng, Fu, Mei & Luo, "Learning Multi-Attention Convolutional Neural Network for Fine-Grained Image
Recognition", ICCV 2017.
https://openaccess.thecvf.com/content_iccv_2017/html/Zheng_Learning_Multi-Attention_Convolutional_ICCV_2017_paper.html

    Dis(M_i) = sum_xy m_i(x, y) [(x - t_x)^2 + (y - t_y)^2],            (t_x, t_y) the peak of M_i
    Div(M_i) = sum_xy m_i(x, y) [max_{k != i} m_k(x, y) - margin]_+
    L        = sum_i Dis(M_i) + lambda Div(M_i),                        lambda = 2, margin = 0.02

The maps sum to 1 over all positions. The bracket in Div is taken as its positive part: a bare margin would be
a constant then, while the paper has it to leave small overlaps, noise, unpunished. Coordinates are cells of
the map.
"""

import torch
from torch import Tensor

from regard.models.parts.crop import peaks


def compactness(maps: Tensor) -> Tensor:
    """Dis of each map, 0 where it is a single cell: (B, N, h, w) -> (B, N)."""
    column, row = peaks(maps).unbind(dim=2)  # (B, N)
    x = torch.arange(maps.shape[3], device=maps.device) - column[:, :, None]  # (B, N, w)
    y = torch.arange(maps.shape[2], device=maps.device) - row[:, :, None]  # (B, N, h)
    return (maps * (x.square()[:, :, None, :] + y.square()[:, :, :, None])).sum(dim=(2, 3))


def overlap(maps: Tensor, margin: float = 0.02) -> Tensor:
    """Div of each map, 0 where no other exceeds the margin on it: (B, N, h, w) -> (B, N)."""
    if maps.shape[1] < 2:
        raise ValueError(f"overlap needs at least two maps, got {maps.shape[1]}")
    largest, second = maps.topk(2, dim=1).values.split(1, dim=1)
    others = torch.where(maps == largest, second, largest)  # max over k != i
    return (maps * (others - margin).relu()).sum(dim=(2, 3))


def grouping_loss(maps: Tensor, *, diversity: float = 2.0, margin: float = 0.02) -> Tensor:
    """Sum over the parts, mean over the images: maps (B, N, h, w) -> a scalar. `diversity` is the paper's
    lambda.
    """
    return (compactness(maps) + diversity * overlap(maps, margin)).sum(dim=1).mean()
