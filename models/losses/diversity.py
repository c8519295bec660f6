"""DVAN's diversity loss: attention must not rest on the same place of the image in two steps that follow each
other.

Zhao et al., "Diversified Visual Attention Networks for Fine-Grained Object Classification", IEEE Transactions
on Multimedia 2017. https://arxiv.org/abs/1606.08572

    L = 1 / (T - 1) sum_{t=2..T} sum_i l_{t-1,i} l_{t,i}

over the positions i of the whole image. Where only one of the two canvases shows a position, the other's map
is 0 there; so the sum runs over their common support, and it is never negative.
"""

from torch import Tensor


def diversity_loss(maps: Tensor) -> Tensor:
    """Mean over the pairs of steps and the images: attention (B, T, P) over the P positions of the image -> a
    scalar.
    """
    if maps.shape[1] < 2:
        raise ValueError(f"diversity needs at least two steps, got {maps.shape[1]}")
    return (maps[:, :-1] * maps[:, 1:]).sum(dim=2).mean()
