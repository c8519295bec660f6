"""CCNet's category-consistent loss: features of one class gather around their mean, the means of different
classes keep apart.

Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", TPAMI 2020, section 3.4.
https://arxiv.org/abs/1811.11721v2

    L_var = mean_c mean_i phi_var(|mu_c - h_i|)
            phi_var(d) = 0                                     d <= delta_v
                         (d - delta_v)^2                       d <= delta_d
                         d - delta_d + (delta_d - delta_v)^2   beyond
    L_dis = mean over pairs of classes of max(0, 2 delta_d - |mu_a - mu_b|)^2
    L_reg = mean_c |mu_c|
    L     = alpha L_var + beta L_dis + gamma L_reg

c runs over the classes in the batch, i over the positions of a class. delta_v = 0.5, delta_d = 1.5, alpha =
beta = 1, gamma = 0.001. Beyond delta_d, phi_var grows linearly, which the authors found to train more stably
than the square.
"""

import torch
from torch import Tensor

from regard.models.losses.criterion import UNLABELLED

DELTA_V, DELTA_D = 0.5, 1.5
ALPHA, BETA, GAMMA = 1.0, 1.0, 0.001


def category_consistent_loss(features: Tensor, labels: Tensor) -> Tensor:
    """L of features (B, D, h, w) and their label maps (B, h, w), always in float32; 0 where nothing is
    labelled.

    The distance of the means is 0 where the batch has a single class.
    """
    labelled = labels != UNLABELLED
    h = features.float().movedim(1, 3)[labelled]  # (N, D)
    # (K,), (N,), (K,)
    classes, index, counts = labels[labelled].unique(return_inverse=True, return_counts=True)
    if len(classes) == 0:
        return 0 * features.float().sum()
    # (K, D)
    mu = torch.zeros(len(classes), h.shape[1], device=h.device).index_add(0, index, h) / counts[:, None]
    spread = phi_var(torch.linalg.vector_norm(mu[index] - h, dim=1))  # (N,)
    l_var = (spread / counts[index]).sum() / len(classes)
    apart = (2 * DELTA_D - torch.linalg.vector_norm(mu[:, None] - mu, dim=2)).relu().square()  # (K, K)
    pairs = max(1, len(classes) * (len(classes) - 1))
    l_dis = apart.triu(1).sum() * 2 / pairs
    l_reg = torch.linalg.vector_norm(mu, dim=1).mean()
    return ALPHA * l_var + BETA * l_dis + GAMMA * l_reg


def phi_var(distance: Tensor) -> Tensor:
    """Cost of a distance to the mean: none, then its square, then linear."""
    linear = distance - DELTA_D + (DELTA_D - DELTA_V) ** 2
    return torch.where(distance > DELTA_D, linear, (distance - DELTA_V).relu().square())
