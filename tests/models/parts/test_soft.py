"""Soft attention: an expectation, its limit, and keys apart from values."""

import math

import numpy as np
import pytest
import torch

from regard.models.parts.hard import ArgmaxAttention
from regard.models.parts.scoring import Additive, Bilinear, Cosine, Distance, Dot, ScaledDot
from regard.models.parts.soft import SoftAttention

SCORINGS = [Additive(6, 6, 5), Dot(), ScaledDot(), Bilinear(6, 6), Cosine(), Distance()]


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda scoring: type(scoring).__name__)
def test_equations(randomized, draw, scoring):
    module = randomized(SoftAttention(scoring))
    keys, query, values = draw(2, 7, 6), draw(2, 3, 6, seed=1), draw(2, 7, 4, seed=2)
    out, scores = module(keys, query, values).detach().numpy(), scoring(keys, query).detach().numpy()
    assert out.shape == (2, 3, 4)
    for b in range(2):
        for m in range(3):
            total = sum(math.exp(s) for s in scores[b, m])
            expected = sum(
                math.exp(s) / total * v for s, v in zip(scores[b, m], values[b].numpy(), strict=True)
            )
            assert np.abs(out[b, m] - expected).max() < 1e-12


def test_weights_sum_to_one(draw):
    weights = SoftAttention(Dot()).weights(draw(2, 7, 6), draw(2, 3, 6, seed=1))
    assert (weights > 0).all()
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 3).double(), atol=1e-12, rtol=0)


def test_sharp_scores_give_hard_attention(draw):
    keys, query, values = draw(2, 7, 6), draw(2, 3, 6, seed=1), draw(2, 7, 4, seed=2)
    soft, hard = SoftAttention(Dot()), ArgmaxAttention(Dot())
    assert torch.allclose(soft(keys, 1e3 * query, values), hard(keys, query, values), atol=1e-6, rtol=0)
    assert not torch.allclose(soft(keys, query, values), hard(keys, query, values), atol=0.1)


def test_without_values_the_keys_are_the_values(draw):
    module, keys, query = SoftAttention(ScaledDot()), draw(2, 7, 6), draw(2, 3, 6, seed=1)
    assert torch.equal(module(keys, query), module(keys, query, keys))
    assert not torch.allclose(module(keys, query), module(keys, query, draw(2, 7, 6, seed=2)), atol=0.1)


def test_pairs_have_no_order(draw):
    module, order = SoftAttention(ScaledDot()), torch.randperm(7, generator=torch.Generator().manual_seed(3))
    keys, query, values = draw(2, 7, 6), draw(2, 3, 6, seed=1), draw(2, 7, 4, seed=2)
    out = module(keys, query, values)
    assert torch.allclose(module(keys[:, order], query, values[:, order]), out, atol=1e-12, rtol=0)
    assert not torch.allclose(module(keys[:, order], query, values), out, atol=0.1), (
        "a value must follow its key"
    )


def test_survives_large_scores(draw):
    assert torch.isfinite(
        SoftAttention(Dot())(1e6 * draw(1, 5, 4), 1e6 * draw(1, 2, 4, seed=1), draw(1, 5, 3))
    ).all()
