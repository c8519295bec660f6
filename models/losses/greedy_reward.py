"""FCAN's greedy reward and the REINFORCE surrogate that trains hard attention with it.

Liu et al., "Fully Convolutional Attention Networks for Fine-Grained Recognition", 2016.
https://arxiv.org/abs/1603.06765
Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", Machine
Learning 1992.

    r_t = 1 if the answer after part t is right, and t = 1 or its loss is below that after part t - 1; else 0
    grad E[r] = E[sum_t r_t grad log pi_t(l_t)],   l_t ~ pi_t
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


def reinforce(log_probabilities: Tensor, rewards: Tensor) -> Tensor:
    """Surrogate whose gradient is that of the mean negative reward: (B, T), (B, T) -> a scalar. Rewards are
    constants.
    """
    return -(log_probabilities * rewards.detach()).sum(dim=1).mean()
