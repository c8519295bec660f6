"""Heat maps as points: the mean place of each map, every place weighed by the softmax of its heat.

Luvizon, Tabia & Picard, "Human Pose Regression by Combining Indirect Part Detection and Contextual
Information", Computers & Graphics 2019, eq. 1. https://arxiv.org/abs/1710.02322

    x = sum_ij softmax(sharpness H)_ij (j + 1/2) / width,   y likewise

Unlike the maximum's place it moves with the heat and not in steps. The sharpness is ours, for maps that are
trained to Gaussians of height 1: 3 log N of N places, so that all places of height 0 together weigh N^-2 of
one of height 1, and pull no point to the centre.
"""

import math

import torch
from torch import Tensor

SHARPNESS = 3.0


def soft_argmax(heat: Tensor) -> Tensor:
    """Places x and y as fractions of the map, and its greatest heat within 0 and 1: (B, J, H, W) -> (B, J,
    3).
    """
    height, width = heat.shape[2:]
    weights = (SHARPNESS * math.log(height * width) * heat).flatten(2).softmax(dim=2).view(heat.shape)
    rows, columns = ((torch.arange(side, device=heat.device) + 0.5) / side for side in (height, width))
    x = (weights.sum(dim=2) * columns).sum(dim=2)
    y = (weights.sum(dim=3) * rows).sum(dim=2)
    return torch.stack((x, y, heat.flatten(2).amax(dim=2).clamp(0, 1)), dim=2)
