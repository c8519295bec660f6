"""REINFORCE: its mean gradient against the enumerated one, with and without a baseline, and the density of
places.
"""

import math

import numpy as np
import pytest
import torch

from regard.models.losses.reinforce import gaussian_log_density, reinforce


def test_rewards_are_constants():
    log_probabilities, rewards = torch.randn(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    loss = reinforce(log_probabilities, rewards)
    assert torch.allclose(loss, -(log_probabilities * rewards).sum() / 2)
    loss.backward()
    assert rewards.grad is None
    assert torch.allclose(log_probabilities.grad, -rewards / 2)


@pytest.mark.parametrize("baseline", [0.0, 0.6])
def test_mean_gradient_is_the_enumerated_one(baseline):
    """Three steps of four places each, a reward for each of the 64 paths: within 3 standard errors."""
    random = torch.Generator().manual_seed(1)
    samples, steps, places = 20_000, 3, 4
    scores = torch.randn(steps, places, generator=random, dtype=torch.float64).requires_grad_()
    table = (torch.rand((places,) * steps, generator=random, dtype=torch.float64) < 0.4).double()
    first, second, third = scores.softmax(dim=1)
    expected = (first[:, None, None] * second[:, None] * third * table).sum()
    exact = torch.autograd.grad(expected, scores)[0]

    each = scores.detach().expand(samples, -1, -1).clone().requires_grad_()  # a copy for each sample
    drawn = torch.stack(
        [p.detach().multinomial(samples, replacement=True, generator=random) for p in (first, second, third)],
        dim=1,
    )
    rewards = table[drawn[:, 0], drawn[:, 1], drawn[:, 2]][:, None].expand(-1, steps)
    chosen = each.log_softmax(dim=2).gather(2, drawn[:, :, None])[:, :, 0]
    reinforce(chosen, rewards - baseline).backward()
    estimates = -each.grad * samples  # the surrogate is a mean, and a loss
    error = (estimates.mean(dim=0) - exact).abs()
    standard = estimates.std(dim=0) / samples**0.5
    assert (error < 3 * standard).all()
    assert (exact.abs() > 3 * standard).any()  # an estimate of zero would fail


def test_density_is_the_gaussians():
    sample, mean = np.array([[0.3, -0.2], [1.0, 0.4]]), np.array([[0.1, 0.1], [0.9, 0.9]])
    deviation = 0.17
    expected = np.log(
        np.exp(-((sample - mean) ** 2) / (2 * deviation**2)) / (deviation * math.sqrt(2 * math.pi))
    ).sum(axis=1)
    found = gaussian_log_density(torch.tensor(sample), torch.tensor(mean), deviation)
    assert np.abs(found.numpy() - expected).max() < 1e-12


def test_gradient_through_a_gaussian_place():
    """Reward l^2 at a place drawn around m: d/dm E[l^2] = 2 m."""
    random = torch.Generator().manual_seed(0)
    mean = torch.full((40_000, 1, 1), 0.5, dtype=torch.float64).requires_grad_()
    place = (mean + 0.17 * torch.randn(mean.shape, generator=random, dtype=torch.float64)).detach()
    reinforce(gaussian_log_density(place, mean, 0.17), place[:, :, 0] ** 2).backward()
    estimates = -mean.grad.flatten() * 40_000
    assert abs(estimates.mean() - 1.0) < 3 * estimates.std() / 200
