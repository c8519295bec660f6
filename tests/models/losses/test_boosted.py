"""dasNet's loss by hand."""

import math

import torch

from regard.models.losses.boosted import boosted_loss


def test_wrong_answers_count_two_hundred_times():
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert abs(boosted_loss(logits, torch.tensor([0, 1])) - (0.005 * right + wrong) / 2) < 1e-8
