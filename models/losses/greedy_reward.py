"""FCAN's greedy reward, for which `reinforce` trains its hard attention.

Liu et al., "Fully Convolutional Attention Networks for Fine-Grained Recognition", 2016.
https://arxiv.org/abs/1603.06765

    r_t = 1 if the answer after part t is right, and t = 1 or its loss is below that after part t - 1; else 0
"""

import torch
from torch import Tensor


def greedy_reward(losses: Tensor, right: Tensor) -> Tensor:
    """Rewards 0 or 1: the answers' losses after each part (B, T), and whether they were right (B, T) ->
    (B, T).
    """
    improved = torch.ones_like(right)
    improved[:, 1:] = losses[:, 1:] < losses[:, :-1]
    return (right & improved).to(losses.dtype)
