"""SimAM against Yang et al., ICML 2021, eqs. 2-6. The signs of w and b follow from the labels; the paper
prints the opposite ones.
"""

import math

import numpy as np
import pytest
import torch

from regard.models.attention.simam import SimAM
from regard.models.catalog import build


def energy(t, mean, variance, lambda_):
    """The closed form e*."""
    return 4 * (variance + lambda_) / ((t - mean) ** 2 + 2 * variance + 2 * lambda_)


@pytest.mark.parametrize("lambda_", [1e-4, 0.1, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_closed_form_is_the_least_squares_minimum(seed, lambda_):
    """Least squares over (w, b), as rows of an overdetermined system: one per neuron, one for the weight
    decay.
    """
    t, *others = np.random.default_rng(seed).normal(1, 2, 12)
    share = math.sqrt(1 / len(others))
    rows = np.array([[share * x, share] for x in others] + [[t, 1], [math.sqrt(lambda_), 0]])
    labels = np.array([-share] * len(others) + [1, 0])
    (w, b), *_ = np.linalg.lstsq(rows, labels, rcond=None)
    least = float(np.sum((rows @ [w, b] - labels) ** 2))
    mean, variance = np.mean(others), np.var(others)
    assert math.isclose(least, energy(t, mean, variance, lambda_), abs_tol=1e-12)
    scale = (t - mean) ** 2 + 2 * variance + 2 * lambda_
    assert math.isclose(w, 2 * (t - mean) / scale, abs_tol=1e-12)
    assert math.isclose(b, -(t + mean) * w / 2, abs_tol=1e-12)
    # a known misprint: the mean for the variance
    printed = 4 * (mean**2 + lambda_) / ((t - mean) ** 2 + 2 * mean**2 + 2 * lambda_)
    assert abs(least - printed) > 1e-3


@pytest.mark.parametrize("size", [(3, 5), (1, 4), (6, 1)])
@pytest.mark.parametrize("lambda_", [1e-4, 0.1])
def test_weights_are_the_inverse_energy(draw, size, lambda_):
    module, x = SimAM(lambda_), draw(2, 3, *size)
    out, weights = module(x), module.weights(x)
    for b in range(2):
        for c in range(3):
            channel = x[b, c].flatten().tolist()
            mean = sum(channel) / len(channel)
            variance = sum((value - mean) ** 2 for value in channel) / (len(channel) - 1)
            for value, result, weight in zip(
                channel, out[b, c].flatten(), weights[b, c].flatten(), strict=True
            ):
                expected = 1 / (1 + math.exp(-1 / energy(value, mean, variance, lambda_)))
                assert math.isclose(weight, expected, abs_tol=1e-12)
                assert math.isclose(result, value * expected, abs_tol=1e-12)


@pytest.mark.parametrize("size", [(4, 5), (1, 1)])
def test_what_does_not_stand_out_weighs_sigmoid_of_a_half(size):
    x = torch.full((2, 3, *size), 2.5, dtype=torch.float64, requires_grad=True)
    out = SimAM()(x)
    assert torch.allclose(out, 2.5 * torch.tensor(0.5).double().sigmoid().expand_as(x), atol=1e-15, rtol=0)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.isfinite(gradient).all()


def test_the_outlier_weighs_most(draw):
    x = draw(1, 2, 5, 5)
    x[0, 1, 2, 3] = -9
    weights = SimAM().weights(x)
    assert weights[0, 1].argmax() == 2 * 5 + 3
    assert weights.min() >= torch.tensor(0.5).sigmoid()
    assert weights.max() < 1


def test_channels_are_apart(draw):
    x = draw(1, 4, 3, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(SimAM()(x)[0, 2].pow(2).sum(), x)
    assert gradient.abs().sum(dim=(0, 2, 3)).nonzero().flatten().tolist() == [2]


@pytest.mark.parametrize(
    ("depth", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160)]
)
def test_adds_no_parameters(depth, count):
    """11.69, 21.80, 25.56 and 44.55 million: the authors' table, and a plain ResNet's."""
    with torch.device("meta"):
        network = build(f"simam_resnet{depth}")
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert any(isinstance(module, SimAM) for module in network.modules())


@pytest.mark.parametrize("lambda_", [0.0, -1.0, float("nan")])
def test_refuses_lambda(lambda_):
    with pytest.raises(ValueError, match=r"lambda_ must be above 0, got"):
        SimAM(lambda_)
