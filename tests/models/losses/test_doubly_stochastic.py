"""The loss that asks for one look at every place."""

import torch

from regard.models.losses.doubly_stochastic import doubly_stochastic_loss


def test_is_zero_exactly_where_each_place_is_looked_at_once():
    once = torch.tensor([[[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]], dtype=torch.float64)
    assert doubly_stochastic_loss(once) == 0
    assert doubly_stochastic_loss(torch.eye(3).unsqueeze(0)) == 0
    elsewhere = once.clone()
    elsewhere[0, 0] = torch.tensor([0.6, 0.4, 0.0], dtype=torch.float64)
    assert abs(doubly_stochastic_loss(elsewhere) - (0.1**2 + 0.1**2)) < 1e-12


def test_is_the_mean_over_images():
    two = torch.stack([torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])])
    assert doubly_stochastic_loss(two) == (0 + 2) / 2
