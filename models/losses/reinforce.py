"""REINFORCE: the gradient of an expected reward, from samples of what was rewarded.

Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", Machine
Learning 1992.

    grad E[R] = E[sum_t (R_t - b_t) grad log pi(l_t)],   l_t ~ pi

for any baseline b_t that does not depend on l_t; one that predicts R_t makes the estimate less noisy.
"""

import math

from torch import Tensor


def reinforce(log_probabilities: Tensor, rewards: Tensor) -> Tensor:
    """Surrogate whose gradient is that of the mean negative reward: (B, T), (B, T) -> a scalar. Rewards, less
    their baseline where there is one, are constants.
    """
    return -(log_probabilities * rewards.detach()).sum(dim=1).mean()


def gaussian_log_density(sample: Tensor, mean: Tensor, deviation: float) -> Tensor:
    """Log-density N(sample; mean, deviation^2 I) of points (..., D) -> (...). The sample is a constant."""
    distance = (sample.detach() - mean).square().sum(dim=-1) / (2 * deviation**2)
    return -distance - mean.shape[-1] * math.log(deviation * math.sqrt(2 * math.pi))
