"""Criss-cross attention against Huang et al., ICCV 2019, eqs. 1-2."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.criss_cross import CrissCrossAttention


def cross(i, j, rows, columns):
    """The H + W - 1 positions in the row and the column of (i, j), itself once."""
    return [(r, j) for r in range(rows) if r != i] + [(i, c) for c in range(columns)]


def naive_pass(x, p):
    """gamma sum_i a_iu v_i + x_u of one image (C, H, W)."""
    _channels, rows, columns = x.shape
    q, k, v = (
        np.einsum("oc,chw->ohw", p[f"{n}.weight"], x) + p[f"{n}.bias"][:, None, None]
        for n in ("query", "key", "value")
    )
    out = np.empty_like(x)
    for i in range(rows):
        for j in range(columns):
            seen = cross(i, j, rows, columns)
            scores = [float(q[:, i, j] @ k[:, r, c]) for r, c in seen]
            top = max(scores)
            total = sum(math.exp(s - top) for s in scores)
            context = sum(
                math.exp(s - top) / total * v[:, r, c] for s, (r, c) in zip(scores, seen, strict=True)
            )
            out[:, i, j] = p["gamma"][0] * context + x[:, i, j]
    return out


@pytest.mark.parametrize("size", [(3, 5), (6, 2), (1, 7), (5, 1), (1, 1)])
@pytest.mark.parametrize("recurrence", [1, 2, 3])
def test_equations(randomized, arrays, draw, size, recurrence):
    module = randomized(CrissCrossAttention(8, reduction=2, recurrence=recurrence))
    x = draw(2, 8, *size)
    out = module(x).detach().numpy()
    for b in range(2):
        expected = x[b].numpy()
        for _ in range(recurrence):
            expected = naive_pass(expected, arrays(module))
        assert np.abs(out[b] - expected).max() < 1e-10


@pytest.mark.parametrize(("recurrence", "reached"), [(1, 15), (2, 63)])
def test_gradient_support(randomized, draw, recurrence, reached):
    """One pass reaches the H + W - 1 = 15 positions of the cross in a 7 x 9 map, two reach all 63."""
    module = randomized(CrissCrossAttention(8, recurrence=recurrence))
    for position in [(0, 0), (3, 4), (6, 8)]:
        x = draw(1, 8, 7, 9).requires_grad_()
        out = module(x)[(0, slice(None), *position)].pow(2).sum()
        support = torch.autograd.grad(out, x)[0].abs().sum(dim=(0, 1)) > 0
        assert int(support.sum()) == reached
        if recurrence == 1:
            assert {tuple(p) for p in support.nonzero().tolist()} == set(cross(*position, 7, 9))


def test_self_is_counted_once(randomized, draw):
    """With every score equal, each of the H + W - 1 positions weighs the same, itself included."""
    module = randomized(CrissCrossAttention(8))
    nn.init.zeros_(module.query.weight)
    nn.init.zeros_(module.query.bias)
    rows, columns = 4, 6
    weights = module.weights(draw(1, 8, rows, columns))
    assert weights.shape == (1, rows, columns, rows + columns)
    for i in range(rows):
        for j in range(columns):
            expected = torch.full((rows + columns,), 1 / (rows + columns - 1), dtype=torch.float64)
            expected[i] = 0  # its copy in the column
            assert torch.allclose(weights[0, i, j], expected, atol=1e-12)


def test_weights_are_columns_then_rows_and_sum_to_one(randomized, draw):
    module = randomized(CrissCrossAttention(8))
    x = draw(2, 8, 3, 5)
    weights, q, k = module.weights(x), module.query(x), module.key(x)
    assert torch.allclose(weights.sum(dim=3), torch.ones(2, 3, 5, dtype=torch.float64), atol=1e-12)
    ratio = weights[0, 1, 2, 0] / weights[0, 1, 2, 3 + 4]  # position (0, 2) of the column, (1, 4) of the row
    scores = q[0, :, 1, 2] @ k[0, :, 0, 2] - q[0, :, 1, 2] @ k[0, :, 1, 4]
    assert math.isclose(ratio.item(), scores.exp().item(), rel_tol=1e-9)


def test_passes_share_their_weights(randomized, draw):
    once, twice = (
        randomized(CrissCrossAttention(8, recurrence=1)),
        randomized(CrissCrossAttention(8, recurrence=2)),
    )
    assert sum(p.numel() for p in once.parameters()) == sum(p.numel() for p in twice.parameters())
    twice.load_state_dict(once.state_dict())
    x = draw(2, 8, 3, 5)
    assert torch.equal(twice(x), once(once(x)))
    assert torch.equal(once(x), once.attend(x))


def test_starts_as_the_identity(draw):
    x = draw(2, 8, 5, 3)
    assert torch.equal(CrissCrossAttention(8).double()(x), x)


def test_survives_large_inputs(randomized, draw):
    assert torch.isfinite(randomized(CrissCrossAttention(8))(1e4 * draw(1, 8, 3, 4))).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mask_fits_half_precision(draw, dtype):
    """The masked score must not overflow into an error or a NaN where weights are stored or run in 16
    bits.
    """
    module = CrissCrossAttention(8).to(dtype)
    nn.init.ones_(module.gamma)
    assert torch.isfinite(module(draw(1, 8, 3, 4).to(dtype))).all()


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="multiple of reduction.*12.*8"):
        CrissCrossAttention(12)
    with pytest.raises(ValueError, match="recurrence.*0"):
        CrissCrossAttention(8, recurrence=0)


@pytest.mark.parametrize("reduction", [0, -4])
def test_refuses_reductions_below_one(reduction):
    with pytest.raises(ValueError, match="reduction"):
        CrissCrossAttention(16, reduction)
