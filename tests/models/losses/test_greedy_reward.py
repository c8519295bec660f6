"""FCAN's rewards by their truth table, and its gradient estimate against the enumerated gradient."""

import torch

from regard.models.losses.greedy_reward import greedy_reward
from regard.models.losses.reinforce import reinforce
from regard.models.networks.fcan import sampled


def test_truth_table():
    """right, loss fell -> reward; in the first step the loss has nothing to fall from."""
    losses = torch.tensor([[1.0, 0.5, 0.7, 0.6], [1.0, 0.5, 0.5, 0.4], [1.0, 0.5, 0.4, 0.3]])
    right = torch.tensor([[True, True, True, True], [False, True, True, False], [True, False, False, True]])
    expected = torch.tensor([[1.0, 1, 0, 1], [0, 1, 0, 0], [1, 0, 0, 1]])
    assert torch.equal(greedy_reward(losses, right), expected)
    assert torch.equal(greedy_reward(losses[:, :1], right[:, :1]), expected[:, :1])


def test_gradient_is_the_enumerated_one():
    """Two parts on a 5 x 5 grid, a reward for each pair of places: estimate and exact gradient of E[r] within
    3 standard errors.
    """
    torch.manual_seed(0)
    samples, parts, places = 40_000, 2, 25
    scores = torch.randn(parts, places, dtype=torch.float64, requires_grad=True)
    # r_t of each pair; r_1 depends on place 1 alone
    table = (torch.rand(places, places, parts, dtype=torch.float64) < 0.4).double()
    table[:, :, 0] = table[:, :1, 0]
    probabilities = scores.softmax(dim=1)
    value = (probabilities[0][:, None, None] * probabilities[1][None, :, None] * table)[:, :, 0].sum()
    # Each reward trains its own part's policy, the other's being given: what the greedy reward means.
    value = value + (probabilities[0].detach()[:, None] * probabilities[1][None, :] * table[:, :, 1]).sum()
    exact = torch.autograd.grad(value, scores)[0]

    # a copy for each sample, for the estimate's variance
    each = scores.unsqueeze(0).expand(samples, -1, -1).detach().requires_grad_()
    log_probabilities = each.log_softmax(dim=2)
    locations = sampled(log_probabilities.detach())  # (samples, parts)
    rewards = table[locations[:, 0], locations[:, 1]]
    reinforce(log_probabilities.gather(2, locations.unsqueeze(2))[:, :, 0], rewards).backward()
    estimates = -each.grad * samples  # the surrogate is a mean, and a loss
    error = (estimates.mean(dim=0) - exact).abs()
    standard = estimates.std(dim=0) / samples**0.5
    # 50 entries: one may be beyond 3 standard errors by chance one time in eight; this seed's are not.
    assert (error < 3 * standard).all()
    assert (exact.abs() > 3 * standard).any()  # an estimate of zero would fail
