"""DVAN's diversity loss."""

import pytest
import torch

from regard.models.losses.diversity import diversity_loss


def test_zero_for_disjoint_steps_positive_for_equal_ones():
    left, right = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0, 0, 0.5, 0.5])
    # only neighbours in time are compared
    assert diversity_loss(torch.stack([left, right, left]).unsqueeze(0)) == 0
    assert diversity_loss(torch.stack([left, left, right]).unsqueeze(0)) == 0.5  # one of two pairs
    assert diversity_loss(torch.stack([right, right]).unsqueeze(0)) == 0.5


def test_equation():
    maps = torch.rand(3, 4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = (
        sum(float(maps[b, t, i] * maps[b, t - 1, i]) for b in range(3) for t in range(1, 4) for i in range(7))
        / 9
    )
    assert abs(diversity_loss(maps).item() - expected) < 1e-12


def test_needs_two_steps():
    with pytest.raises(ValueError, match="at least two steps, got 1"):
        diversity_loss(torch.ones(1, 1, 4))
