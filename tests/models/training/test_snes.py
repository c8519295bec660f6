"""SNES: one step written naively, and that it finds minima."""

import math

import numpy as np
import pytest
import torch

from regard.models.training.snes import SNES


def search(start: torch.Tensor, **options: int) -> SNES:
    return SNES(start, 0.5, torch.Generator().manual_seed(0), **options)


def test_a_step_is_the_algorithms():
    snes = search(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), population=6)
    mean, deviation = snes.mean.numpy(), snes.deviation.numpy()
    asked = snes.ask().numpy()
    costs = np.array([3.0, 1.0, 2.0, 9.0, 0.5, 4.0])
    snes.tell(torch.tensor(costs))
    utilities = np.array([max(0, math.log(4) - math.log(k)) for k in range(1, 7)])
    utilities = utilities / utilities.sum() - 1 / 6
    along_mean, along_deviation = np.zeros(3), np.zeros(3)
    for rank, index in enumerate(np.argsort(costs)):
        s = (asked[index] - mean) / deviation
        along_mean += utilities[rank] * s
        along_deviation += utilities[rank] * (s**2 - 1)
    rate = (3 + math.log(3)) / (5 * math.sqrt(3))
    assert np.abs(snes.mean.numpy() - (mean + deviation * along_mean)).max() < 1e-12
    expected = deviation * np.exp(rate / 2 * along_deviation)
    assert np.abs(snes.deviation.numpy() - expected).max() < 1e-12


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_minimizes_the_sphere(scale):
    """Also one that is a hundred times as steep along one axis: each has its own deviation."""
    target, weights = torch.linspace(-2, 2, 10, dtype=torch.float64), torch.ones(10, dtype=torch.float64)
    weights[3] = scale
    snes = search(torch.zeros(10, dtype=torch.float64))
    for _ in range(400):
        snes.tell((weights * (snes.ask() - target).square()).sum(dim=1))
    assert (snes.mean - target).abs().max() < 1e-6
    assert snes.deviation.max() < 1e-4


def test_only_the_order_of_costs_counts():
    first, second = search(torch.ones(4)), search(torch.ones(4))
    costs = first.ask().square().sum(dim=1)
    assert torch.equal(second.ask().square().sum(dim=1), costs)
    first.tell(costs)
    second.tell((10 * costs).exp())
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.deviation, second.deviation)


def test_population_grows_with_the_numbers():
    assert search(torch.zeros(100)).ask().shape == (4 + 13, 100)
    assert search(torch.zeros(100), population=5).ask().shape == (5, 100)
