"""SNES: numbers improved by trying variations of them, a deviation for each being learnt along.

Schaul, Glasmachers & Schmidhuber, "High Dimensions and Heavy Tails for Natural Evolution Strategies", GECCO
2011, algorithm 1 (separable natural evolution strategies).

    s_k ~ N(0, I),   z_k = mu + sigma s_k                          k = 1..n, sorted by cost, least first
    u_k = max(0, log(n / 2 + 1) - log k) / sum_j max(0, log(n / 2 + 1) - log j) - 1 / n
    mu    <- mu + sigma sum_k u_k s_k
    sigma <- sigma exp(eta / 2 sum_k u_k (s_k^2 - 1)),   eta = (3 + log d) / (5 sqrt(d))
"""

import math

import torch
from torch import Tensor


class SNES:
    """A search over d numbers that minimizes a cost of which nothing but values is known.

    Args:
        start: mu (d,).
        deviation: sigma at the start.
        population: n; 4 + floor(3 log d) without one.
        random: source of every draw.
    """

    def __init__(
        self, start: Tensor, deviation: float, random: torch.Generator, population: int | None = None
    ) -> None:
        self.mean = start.clone()
        self.deviation = torch.full_like(start, deviation)
        size = start.numel()
        self.population = population or 4 + math.floor(3 * math.log(size))
        self._rate = (3 + math.log(size)) / (5 * math.sqrt(size))
        ranks = torch.arange(1, self.population + 1, dtype=start.dtype)
        raw = (math.log(self.population / 2 + 1) - ranks.log()).clamp(min=0)
        self._utilities = raw / raw.sum() - 1 / self.population
        self._random = random
        self._steps = torch.empty(0)

    def ask(self) -> Tensor:
        """Variations to judge: (n, d)."""
        shape = (self.population, self.mean.numel())
        self._steps = torch.randn(shape, generator=self._random, dtype=self.mean.dtype)
        return self.mean + self.deviation * self._steps

    def tell(self, costs: Tensor) -> None:
        """Move by the costs (n,) of the variations last asked for."""
        steps = self._steps[costs.argsort(stable=True)]
        self.mean = self.mean + self.deviation * (self._utilities @ steps)
        self.deviation = self.deviation * (self._rate / 2 * (self._utilities @ (steps.square() - 1))).exp()
