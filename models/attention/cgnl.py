"""Compact generalized non-local blocks: every channel of every position attends to every channel of every
position, in linear memory.

Yue et al., "Compact Generalized Non-local Network", NeurIPS 2018, section 3. https://arxiv.org/abs/1810.13125

    vec(Y) = f(vec(Theta), vec(Phi)) vec(G),   Z = GroupNorm(W_z Y) + X

over all C H W entries of a group of channels, so that f would be a (CHW)^2 matrix. It is never formed:

    CGNL    f(t, p) = t p                    Y = Theta * w,            w = sum phi g
    CGNLx   f(t, p) = exp(-gamma |t - p|^2)  Y = sum_n Theta^n * w_n,  w_n = beta (2 gamma)^n / n! sum phi^n g
            ~ beta sum_{n <= P} (2 gamma)^n / n! t^n p^n

beta would be exp(-gamma (t^2 + p^2)). The authors' code says that training became very difficult with it, and
takes beta = exp(-2 gamma) and gamma = 1e-4 as constants, which is kept here. From their code also: embeddings
of C / 2 channels without bias, W_z in as many groups, the GroupNorm's scale 0 at first, one block before the
last of res4; 8 groups and P = 3 in their experiments.

The sums run over C H W / groups products: in FP16 they overflow and must be kept in FP32.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class CompactNonLocal(nn.Module, ABC):
    """Base of the two kernels. Starts as the identity: the GroupNorm's scale is 0.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; memory grows with H W.

    Args:
        channels: C.
        groups: the channels are split into as many groups, which attend apart from each other.
    """

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        if min(channels, groups) < 1 or channels % (2 * groups):
            raise ValueError(
                f"channels must be a positive multiple of twice the groups, got {channels} and {groups} "
                "groups"
            )
        self.groups = groups
        self.theta = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
        self.project = nn.Conv2d(channels // 2, channels, kernel_size=1, groups=groups, bias=False)
        self.norm = nn.GroupNorm(groups, channels)
        nn.init.zeros_(self.norm.weight)

    @abstractmethod
    def weights(self, x: Tensor) -> Tensor:
        """The factor of each power of theta in each group: (B, groups, powers)."""

    @abstractmethod
    def respond(self, theta: Tensor, weights: Tensor) -> Tensor:
        """Y from theta (B, groups, C / 2 / groups * H * W) and the weights."""

    def forward(self, x: Tensor) -> Tensor:
        theta = self.theta(x)  # (B, C/2, H, W)
        y = self.respond(self.grouped(theta), self.weights(x)).view_as(theta)
        return self.norm(self.project(y)) + x

    def grouped(self, embedded: Tensor) -> Tensor:
        """All entries of each group in one row: (B, C/2, H, W) -> (B, groups, C/2/groups * H * W)."""
        return embedded.contiguous().flatten(1).unflatten(1, (self.groups, -1))


class CGNL(CompactNonLocal):
    """Kernel f(t, p) = t p."""

    def weights(self, x: Tensor) -> Tensor:
        return _dot(self.grouped(self.phi(x)), self.grouped(self.g(x)))

    def respond(self, theta: Tensor, weights: Tensor) -> Tensor:
        return theta * weights


class CGNLx(CompactNonLocal):
    """Kernel exp(-gamma |t - p|^2), by its Taylor expansion.

    Args:
        channels: C.
        groups: as of `CompactNonLocal`.
        order: P, the highest power.
        gamma: of the kernel.
    """

    def __init__(self, channels: int, groups: int = 8, order: int = 3, gamma: float = 1e-4) -> None:
        super().__init__(channels, groups)
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        if not gamma > 0:
            raise ValueError(f"gamma must be positive, got {gamma}")
        self.factors = [math.exp(-2 * gamma) * (2 * gamma) ** n / math.factorial(n) for n in range(order + 1)]

    def weights(self, x: Tensor) -> Tensor:
        phi, term = self.grouped(self.phi(x)), self.grouped(self.g(x))
        sums = [self.factors[0] * term.sum(dim=2, keepdim=True)]  # phi^0 = 1
        for factor in self.factors[1:-1]:
            term = term * phi  # phi^n g
            sums.append(factor * term.sum(dim=2, keepdim=True))
        sums.append(self.factors[-1] * _dot(term, phi))
        return torch.cat(sums, dim=2)

    def respond(self, theta: Tensor, weights: Tensor) -> Tensor:
        powers = weights.split(1, dim=2)
        y = powers[-1] * theta
        for weight in reversed(powers[1:-1]):  # Horner's rule
            y = (y + weight) * theta
        return y + powers[0]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum of the products along the rows: (B, groups, entries) twice -> (B, groups, 1)."""
    return torch.matmul(a.unsqueeze(2), b.unsqueeze(3)).squeeze(3)
