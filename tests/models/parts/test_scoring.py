"""The scoring functions against their definitions, one pair at a time."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.parts.scoring import Additive, Bilinear, Cosine, Distance, Dot, ScaledDot

KEY, QUERY, HIDDEN = 6, 4, 5
PAIRS = {
    "additive": (
        Additive(KEY, QUERY, HIDDEN),
        QUERY,
        lambda k, q, p: p["v.weight"][0] @ np.tanh(p["key.weight"] @ k + p["query.weight"] @ q),
    ),
    "dot": (Dot(), KEY, lambda k, q, p: sum(a * b for a, b in zip(k, q, strict=True))),
    "scaled_dot": (
        ScaledDot(),
        KEY,
        lambda k, q, p: sum(a * b for a, b in zip(k, q, strict=True)) / math.sqrt(KEY),
    ),
    "bilinear": (Bilinear(KEY, QUERY), QUERY, lambda k, q, p: k @ p["w.weight"] @ q),
    "cosine": (Cosine(), KEY, lambda k, q, p: (k @ q) / math.sqrt((k @ k) * (q @ q))),
    "distance": (
        Distance(),
        KEY,
        lambda k, q, p: -math.sqrt(sum((a - b) ** 2 for a, b in zip(k, q, strict=True))),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equations(randomized, arrays, draw, name):
    module, width, pair = PAIRS[name]
    module = randomized(module)
    keys, query = draw(2, 7, KEY), draw(2, 3, width, seed=1)
    scores = module(keys, query).detach()
    assert scores.shape == (2, 3, 7)
    for b in range(2):
        for m in range(3):
            for n in range(7):
                assert math.isclose(
                    scores[b, m, n],
                    pair(keys[b, n].numpy(), query[b, m].numpy(), arrays(module)),
                    abs_tol=1e-12,
                )


def test_scaled_dot_is_dot_over_the_root_of_the_width(draw):
    keys, query = draw(2, 5, 16), draw(2, 3, 16, seed=1)
    assert torch.allclose(ScaledDot()(keys, query), Dot()(keys, query) / 4, atol=1e-14, rtol=0)


def test_scaled_dot_has_variance_one(draw):
    scores = ScaledDot()(draw(1, 300, 64), draw(1, 300, 64, seed=1))
    assert abs(scores.var().item() - 1) < 0.05
    assert abs(Dot()(draw(1, 300, 64), draw(1, 300, 64, seed=1)).var().item() - 64) < 3


def test_bilinear_with_the_identity_is_dot_and_else_takes_sides(randomized, draw):
    module = randomized(Bilinear(6, 6))
    x, y = draw(1, 5, 6), draw(1, 5, 6, seed=1)
    assert not torch.allclose(module(x, y), module(y, x).transpose(1, 2), atol=0.1)
    with torch.no_grad():
        module.w.weight.copy_(module.w.weight + module.w.weight.T)
    assert torch.allclose(module(x, y), module(y, x).transpose(1, 2), atol=1e-12, rtol=0)
    nn.init.eye_(module.w.weight)
    assert torch.allclose(module(x, y), Dot()(x, y), atol=1e-12, rtol=0)


def test_additive_saturates_at_the_sum_of_v(randomized, draw):
    module = randomized(Additive(KEY, QUERY, HIDDEN))
    bound = module.v.weight.abs().sum()
    keys, query = draw(2, 50, KEY), draw(2, 40, QUERY, seed=1)
    assert module(keys, query).abs().max() < bound
    with torch.no_grad():  # every hidden unit takes the sign of its v
        module.key.weight.zero_()
        module.query.weight.copy_(1e4 * module.v.weight.T.sign().expand(-1, QUERY))
    assert torch.allclose(
        module(keys, torch.ones(2, 1, QUERY).double()), bound.expand(2, 1, 50), atol=1e-14, rtol=0
    )
    assert torch.allclose(
        module(keys, -torch.ones(2, 1, QUERY).double()), -bound.expand(2, 1, 50), atol=1e-14, rtol=0
    )


def test_distance_ranks_the_nearest_first(draw):
    query = draw(1, 1, 4)
    steps = torch.tensor([3.0, 0.5, 2.0, 0.0, 1.0]).double()
    keys = query + steps[:, None] * nn.functional.normalize(draw(5, 4, seed=1), dim=1)
    scores = Distance()(keys, query)[0, 0]
    assert torch.allclose(scores, -steps, atol=1e-12, rtol=0)
    assert scores.argsort(descending=True).tolist() == [3, 1, 4, 2, 0]


@pytest.mark.parametrize("module", [Distance(), Cosine()])
def test_gradients_are_finite_at_the_singular_point(draw, module):
    """A key that equals the query, and one that is zero."""
    query = draw(1, 1, 4).requires_grad_()
    keys = torch.stack([query.detach()[0, 0], torch.zeros(4).double()])[None].requires_grad_()
    scores = module(keys, query)
    assert torch.isfinite(scores).all()
    for gradient in torch.autograd.grad(scores.sum(), [keys, query]):
        assert torch.isfinite(gradient).all()


def test_cosine_ignores_length(draw):
    keys, query = draw(2, 5, 8), draw(2, 3, 8, seed=1)
    assert torch.allclose(Cosine()(7 * keys, 0.3 * query), Cosine()(keys, query), atol=1e-12, rtol=0)
    assert torch.allclose(
        Cosine()(keys, 2 * keys).diagonal(dim1=1, dim2=2), torch.ones(2, 5).double(), atol=1e-12, rtol=0
    )
    assert Cosine()(keys, query).abs().max() < 1
    assert torch.equal(Cosine()(keys, torch.zeros(2, 1, 8).double()), torch.zeros(2, 1, 5).double())


@pytest.mark.parametrize("module", [Dot(), ScaledDot(), Cosine(), Distance()])
def test_refuses_different_widths(draw, module):
    with pytest.raises(ValueError, match=r"same width, got 4 and 6"):
        module(draw(1, 2, 4), draw(1, 3, 6))


def test_refuses_widths_below_one():
    with pytest.raises(ValueError, match=r"hidden must be at least 1, got 0"):
        Additive(4, 4, 0)
    with pytest.raises(ValueError, match=r"query_width must be at least 1, got -1"):
        Bilinear(4, -1)
