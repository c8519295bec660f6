"""Losses of interaction-aware attention: its maps are principal components of the features, and differ from
layer to layer.

Du et al., "Interaction-aware Spatio-temporal Pyramid Attention Networks for Action Classification", ECCV
2018. https://arxiv.org/abs/1808.01106

    interaction(A, X) = 1 - |A^T X|^2 / |X|^2 + sum_{m != n} (a_m . a_n)^2
    diversity(Y)      = mean over pairs of layers l < m and maps n of (y_l,n . y_m,n)^2

with maps a_n, y_n of unit length over the positions and X (positions x channels) less its mean over the
channels, which are the samples. The first is PCA's Lagrangian: the variance along the maps, to be maximized,
and a penalty for maps that are not orthogonal, whose diagonal is constant. It is least exactly where the maps
span the leading eigenvectors of X X^T: with G = A^T A it is 1 - tr(G U^T S U) + |G|^2 - k for an orthonormal
basis U of the span and S = X X^T / |X|^2; for any G the trace is greatest for the leading eigenvectors, and
the best G has full rank, its eigenvalues being 1 + (s_n - mean s) / 2 with 0 <= s_n <= 1.

From two readers' notes of the paper (no code of the authors is public): the variance, the constraint and why
its diagonal is left out, and a term that makes the layers' scores differ. Ours: dividing by |X|^2, so that
the loss cannot be lowered by scaling the features, and the form of the second loss.
"""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor


def interaction_loss(maps: Tensor, features: Tensor) -> Tensor:
    """Mean over the images: maps of unit length (B, k, H, W) and features (B, C, H, W) -> a scalar."""
    a, x = maps.flatten(2), features.flatten(2)  # (B, k, HW), (B, C, HW)
    x = x - x.mean(dim=1, keepdim=True)
    variance = torch.matmul(x, a.transpose(1, 2)).square().sum(dim=(1, 2))
    total = x.square().sum(dim=(1, 2)).clamp_min(torch.finfo(x.dtype).tiny)
    overlaps = torch.matmul(a, a.transpose(1, 2)).square().sum(dim=(1, 2)) - a.square().sum(
        dim=2
    ).square().sum(dim=1)
    return (1 - variance / total + overlaps).mean()


def scale_diversity_loss(scales: Sequence[Tensor]) -> Tensor:
    """Scores of unit length of two layers or more, each (B, k, HW) -> a scalar: 1 where they are all equal, 0
    where all are orthogonal.
    """
    if len(scales) < 2:
        raise ValueError(f"diversity needs the scores of at least two layers, got {len(scales)}")
    pairs = [(one * other).sum(dim=2).square().mean() for one, other in combinations(scales, 2)]
    return torch.stack(pairs).mean()
