"""RA-CNN's ranking loss against a transcription of its equation."""

import math

import torch

from regard.models.losses.ranking import ranking_loss


def logits(*probabilities: float) -> torch.Tensor:
    """Logits of two classes, the first with these probabilities."""
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in probabilities])


def test_equation():
    random = torch.Generator().manual_seed(0)
    coarse, fine = torch.randn(6, 4, generator=random), torch.randn(6, 4, generator=random)
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = 0.0
    for c, f, t in zip(coarse.tolist(), fine.tolist(), targets.tolist(), strict=True):
        p = [math.exp(row[t]) / sum(math.exp(v) for v in row) for row in (c, f)]
        expected += max(0.0, p[0] - p[1] + 0.05) / 6
    assert abs(ranking_loss(coarse, fine, targets).item() - expected) < 1e-6


def test_zero_only_where_the_fine_scale_leads_by_the_margin():
    right = torch.zeros(1, dtype=torch.long)
    assert ranking_loss(logits(0.5), logits(0.5501), right) == 0
    assert abs(ranking_loss(logits(0.5), logits(0.54), right).item() - 0.01) < 1e-6
    assert abs(ranking_loss(logits(0.5), logits(0.5), right, margin=0.2).item() - 0.2) < 1e-6


def test_gradient_raises_the_fine_scale_and_lowers_the_coarse():
    coarse, fine = logits(0.5).requires_grad_(), logits(0.5).requires_grad_()
    ranking_loss(coarse, fine, torch.zeros(1, dtype=torch.long)).backward()
    assert coarse.grad[0, 0] > 0 > fine.grad[0, 0]
