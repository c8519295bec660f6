"""Doubly stochastic attention: over the whole caption, every place should be looked at once.

Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", ICML 2015, eq. 14.
https://arxiv.org/abs/1502.03044

    L = sum_i (1 - sum_t a_ti)^2
"""

from torch import Tensor


def doubly_stochastic_loss(alignment: Tensor) -> Tensor:
    """Mean over a batch of L: weights of S places for T words, 0 for words that do not count, (B, T, S) ->
    (). It is 0 exactly where each place's weights sum to 1.
    """
    return (1 - alignment.sum(dim=1)).square().sum(dim=1).mean()
