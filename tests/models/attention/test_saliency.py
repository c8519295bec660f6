"""Saliency: the input attends to itself."""

import math

import numpy as np
import torch

from regard.models.attention.saliency import Saliency


def test_equations(randomized, arrays, draw):
    module = randomized(Saliency(6))
    x, p = draw(2, 6, 3, 4), arrays(module)
    out, gate = module(x).detach().numpy(), module.weights(x).detach()
    assert gate.shape == (2, 1, 3, 4)
    for b in range(2):
        for i in range(3):
            for j in range(4):
                position = x[b, :, i, j].numpy()
                expected = 1 / (1 + math.exp(-(p["gate.weight"][0] @ position + p["gate.bias"][0])))
                assert math.isclose(gate[b, 0, i, j], expected, rel_tol=1e-12)
                assert np.abs(out[b, :, i, j] - expected * position).max() < 1e-12


def test_nothing_asks(randomized, draw):
    """A position's saliency is its own affair: it depends on no other position, and there is no query among
    the parameters.
    """
    module = randomized(Saliency(6))
    x = draw(1, 6, 4, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(module.weights(x)[0, 0, 2, 3], x)
    assert gradient.abs().sum(dim=1).nonzero().tolist() == [[0, 2, 3]]
    assert {name for name, _ in module.named_parameters()} == {"gate.weight", "gate.bias"}
