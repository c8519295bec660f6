"""Non-local blocks: each position's response is a weighted mean over all positions.

Wang, Girshick, Gupta & He, "Non-local Neural Networks", CVPR 2018, eqs. 1-6. https://arxiv.org/abs/1711.07971

    y_i = 1 / C(x) sum_j f(x_i, x_j) g(x_j),   z_i = BN(W_z y_i) + x_i

    f                     weight of j for i                           normaliser C(x)
    Gaussian              exp(x_i . x_j)                              sum over j      (softmax)
    EmbeddedGaussian      exp(theta(x_i) . phi(x_j))                  sum over j      (softmax)
    DotProduct            theta(x_i) . phi(x_j)                       number of positions
    Concatenation         relu(w . [theta(x_i), phi(x_j)])            number of positions

In space and time, i and j run over the positions of all frames. Convolutions of size 1, BatchNorm and the
pairs know no places, so that the block is the same on the frames laid one below the other: (B, C, T H, W).
Only `subsample` does: there it must divide H.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class NonLocal(nn.Module, ABC):
    """Base of the four forms, which differ in `weights`. Starts as the identity: the last BatchNorm's scale
    is 0.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W of at least `subsample`; memory grows with (H W)^2.

    Args:
        channels: C; the values g have C / 2 channels (section 3.3).
        subsample: side of the max pooling on keys and values; 2 quarters the work (section 3.3), 1 leaves
            them whole.
    """

    def __init__(self, channels: int, subsample: int = 1) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"channels must be positive and even, got {channels}")
        if subsample < 1:
            raise ValueError(f"subsample must be at least 1, got {subsample}")
        self.inner, self.subsample = channels // 2, subsample
        self.g = nn.Conv2d(channels, self.inner, kernel_size=1)
        self.pool = nn.MaxPool2d(subsample) if subsample > 1 else nn.Identity()
        self.project = nn.Conv2d(self.inner, channels, kernel_size=1)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    @abstractmethod
    def weights(self, x: Tensor) -> Tensor:
        """f(x_i, x_j) / C(x) of each position i (second axis) for each key j (third): (B, HW, keys)."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_exporting() and min(x.shape[2:]) < self.subsample:
            raise ValueError(
                f"maps must be at least subsample = {self.subsample} on each side, got {x.shape[2]} x "
                f"{x.shape[3]}"
            )
        g = self.pool(self.g(x)).flatten(2).transpose(1, 2)  # (B, keys, C/2)
        y = torch.matmul(self.weights(x), g).transpose(1, 2)  # (B, C/2, HW)  eq. 1
        y = y.reshape(x.shape[0], self.inner, x.shape[2], x.shape[3])
        return self.bn(self.project(y)) + x  # eq. 6


class Gaussian(NonLocal):
    """Weights softmax_j(x_i . x_j): no embedding (eq. 2)."""

    def weights(self, x: Tensor) -> Tensor:
        query = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        return torch.matmul(query, self.pool(x).flatten(2)).softmax(dim=2)


class _Embedded(NonLocal):
    """Shared by the forms that compare learned embeddings theta and phi."""

    def __init__(self, channels: int, subsample: int = 1) -> None:
        super().__init__(channels, subsample)
        self.theta = nn.Conv2d(channels, self.inner, kernel_size=1)
        self.phi = nn.Conv2d(channels, self.inner, kernel_size=1)

    def scores(self, x: Tensor) -> Tensor:
        """theta(x_i) . phi(x_j): (B, HW, keys)."""
        theta = self.theta(x).flatten(2).transpose(1, 2)  # (B, HW, C/2)
        return torch.matmul(theta, self.pool(self.phi(x)).flatten(2))


class EmbeddedGaussian(_Embedded):
    """Weights softmax_j(theta(x_i) . phi(x_j)), the self-attention form (eq. 3)."""

    def weights(self, x: Tensor) -> Tensor:
        return self.scores(x).softmax(dim=2)


class DotProduct(_Embedded):
    """Weights theta(x_i) . phi(x_j) / keys (eq. 4)."""

    def weights(self, x: Tensor) -> Tensor:
        scores = self.scores(x)
        return scores / scores.shape[2]


class Concatenation(_Embedded):
    """Weights relu(w . [theta(x_i), phi(x_j)]) / keys (eq. 5)."""

    def __init__(self, channels: int, subsample: int = 1) -> None:
        super().__init__(channels, subsample)
        # w . [a, b] = w_a . a + w_b . b: the pairs need not be formed
        self.w_theta = nn.Conv2d(self.inner, 1, kernel_size=1, bias=False)
        self.w_phi = nn.Conv2d(self.inner, 1, kernel_size=1, bias=False)

    def weights(self, x: Tensor) -> Tensor:
        query = self.w_theta(self.theta(x)).flatten(2).transpose(1, 2)  # (B, HW, 1)
        key = self.w_phi(self.pool(self.phi(x))).flatten(2)  # (B, 1, keys)
        scores = (query + key).relu()
        return scores / scores.shape[2]
