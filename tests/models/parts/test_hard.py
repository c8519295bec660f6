"""Hard attention: one value whole, the right frequencies, and the straight-through gradient."""

import math

import pytest
import torch
from torch import Tensor

from regard.models.parts.hard import ArgmaxAttention, SampledAttention, gumbel_noise
from regard.models.parts.scoring import Bilinear, Dot
from regard.models.parts.soft import SoftAttention


@pytest.fixture
def keys(draw):
    return draw(2, 7, 6)


@pytest.fixture
def query(draw):
    return draw(2, 3, 6, seed=1)


@pytest.fixture
def values(draw):
    return draw(2, 7, 4, seed=2)


@pytest.fixture
def noise():
    return gumbel_noise(2, 3, 7, generator=torch.Generator().manual_seed(4)).double()


def assert_each_is_one_of(out: Tensor, values: Tensor, expected: Tensor) -> None:
    """Row m of `out` is row expected[m] of `values`, bit for bit."""
    for b in range(len(out)):
        for m in range(out.shape[1]):
            assert torch.equal(out[b, m], values[b, expected[b, m]])


def test_argmax_takes_the_best_value_whole(keys, query, values):
    module, scores = ArgmaxAttention(Dot()), query @ keys.transpose(1, 2)
    assert_each_is_one_of(module(keys, query, values), values, scores.argmax(dim=2))
    assert_each_is_one_of(module(keys, query), keys, scores.argmax(dim=2))
    assert torch.equal(module.choice(keys, query), scores.argmax(dim=2))


def test_argmax_teaches_the_values_alone(keys, query, values):
    out = ArgmaxAttention(Dot())(keys.requires_grad_(), query.requires_grad_(), values.requires_grad_())
    gradients = torch.autograd.grad(out.sum(), [values, keys, query], allow_unused=True)
    assert gradients[0].sum() == 2 * 3 * 4
    assert gradients[1] is None
    assert gradients[2] is None


@pytest.mark.parametrize("training", [False, True])
def test_sampled_takes_one_value_whole(keys, query, values, noise, training):
    module = SampledAttention(Dot()).train(training)
    expected = (query @ keys.transpose(1, 2) + noise).argmax(dim=2)
    assert_each_is_one_of(module(keys, query, noise, values), values, expected)
    assert_each_is_one_of(module(keys, query, noise), keys, expected)
    assert not torch.equal(expected, ArgmaxAttention(Dot()).choice(keys, query)), (
        "the noise must matter for this test to mean anything"
    )


def test_zero_noise_gives_the_argmax(keys, query, values):
    zero = torch.zeros(2, 3, 7).double()
    assert torch.equal(
        SampledAttention(Dot()).eval()(keys, query, zero, values), ArgmaxAttention(Dot())(keys, query, values)
    )


def chi_squared(counts: Tensor, probabilities: Tensor) -> float:
    expected = counts.sum() * probabilities
    return ((counts - expected).square() / expected).sum().item()


def test_samples_have_softmax_frequencies(draw):
    keys, query, draws = draw(1, 5, 3), draw(1, 1, 3, seed=1), 100_000
    random = torch.Generator().manual_seed(5)
    module, probabilities = SampledAttention(Dot()).eval(), SoftAttention(Dot()).weights(keys, query)[0, 0]
    assert probabilities.min() > 0.01
    limit = 23.5  # of chi squared with 4 degrees of freedom: exceeded once in ten thousand
    counts = module.weights(keys, query, gumbel_noise(draws, 1, 5, generator=random).double()).sum(dim=(0, 1))
    assert counts.sum() == draws
    assert chi_squared(counts, probabilities) < limit
    normal = torch.randn(draws, 1, 5, generator=random).double()
    assert chi_squared(module.weights(keys, query, normal).sum(dim=(0, 1)), probabilities) > limit, (
        "the check must tell noises apart"
    )


def test_noise_is_gumbel():
    noise = gumbel_noise(200, 500, generator=torch.Generator().manual_seed(6))
    assert torch.isfinite(noise).all()
    assert abs(noise.mean().item() - 0.5772) < 0.02
    assert abs(noise.var().item() - math.pi**2 / 6) < 0.03


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_gradient_is_that_of_the_relaxed_choice(randomized, keys, query, values, noise, temperature):
    module = randomized(SampledAttention(Bilinear(6, 6), temperature)).train()
    (weight,) = module.parameters()
    relaxed = ((query @ weight.T @ keys.transpose(1, 2) + noise) / temperature).softmax(dim=2)
    target = torch.linspace(-1, 1, 24).view(2, 3, 4).double()
    (expected,) = torch.autograd.grad(((relaxed @ values) * target).sum(), weight)
    (gradient,) = torch.autograd.grad((module(keys, query, noise, values) * target).sum(), weight)
    assert expected.abs().max() > 0.1
    assert torch.allclose(gradient, expected, atol=1e-10, rtol=0)


def test_gradient_to_the_values_is_that_of_the_choice(keys, query, values, noise):
    out = SampledAttention(Dot()).train()(keys, query, noise, values.requires_grad_())
    (gradient,) = torch.autograd.grad(out.sum(), values)
    chosen = torch.zeros(2, 7).double()
    chosen.scatter_add_(1, (query @ keys.transpose(1, 2) + noise).argmax(dim=2), torch.ones(2, 3).double())
    assert torch.allclose(gradient, chosen[:, :, None].expand(-1, -1, 4), atol=1e-12, rtol=0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_refuses_temperatures(temperature):
    with pytest.raises(ValueError, match=r"temperature must be above 0, got"):
        SampledAttention(Dot(), temperature)
