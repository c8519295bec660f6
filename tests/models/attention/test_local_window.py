"""Local self-attention against its equation, position by position, and against attention over the whole
map.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.local_window import LocalSelfAttention


def neighbours(i, j, rows, columns, window):
    reach = window // 2
    return [
        (r, c) for r in range(rows) for c in range(columns) if abs(r - i) <= reach and abs(c - j) <= reach
    ]


def naive_block(x, p, window):
    rows, columns = x.shape[1:]
    q, k, v = (
        np.einsum("oc,chw->ohw", p[f"{n}.weight"], x) + p[f"{n}.bias"][:, None, None]
        for n in ("query", "key", "value")
    )
    out = np.empty_like(x)
    for i in range(rows):
        for j in range(columns):
            seen = neighbours(i, j, rows, columns, window)
            scores = [float(q[:, i, j] @ k[:, r, c]) / math.sqrt(len(q)) for r, c in seen]
            total = sum(math.exp(s - max(scores)) for s in scores)
            context = sum(
                math.exp(s - max(scores)) / total * v[:, r, c] for s, (r, c) in zip(scores, seen, strict=True)
            )
            out[:, i, j] = p["gamma"][0] * context + x[:, i, j]
    return out


@pytest.mark.parametrize("size", [(7, 5), (6, 9), (3, 3), (1, 8), (2, 1), (1, 1)])
@pytest.mark.parametrize("window", [1, 3, 5, 9])
def test_equations(randomized, arrays, draw, size, window):
    module = randomized(LocalSelfAttention(8, window, reduction=2))
    x = draw(2, 8, *size)
    out = module(x).detach().numpy()
    for b in range(2):
        assert np.abs(out[b] - naive_block(x[b].numpy(), arrays(module), window)).max() < 1e-10


@pytest.mark.parametrize("window", [1, 3, 5])
def test_gradient_support_is_the_window(randomized, draw, window):
    module = randomized(LocalSelfAttention(8, window))
    for position in [(0, 0), (3, 4), (6, 8), (2, 7)]:
        x = draw(1, 8, 7, 9).requires_grad_()
        out = module(x)[(0, slice(None), *position)].pow(2).sum()
        support = torch.autograd.grad(out, x)[0].abs().sum(dim=(0, 1)) > 0
        assert {tuple(p) for p in support.nonzero().tolist()} == set(neighbours(*position, 7, 9, window))


@pytest.mark.parametrize(("size", "window"), [((4, 5), 9), ((4, 5), 15), ((2, 2), 7), ((1, 3), 5)])
def test_a_window_over_the_whole_map_is_self_attention(randomized, draw, size, window):
    module = randomized(LocalSelfAttention(16, window))
    x = draw(2, 16, *size)
    # (B, HW, .)
    q, k, v = (conv(x).flatten(2).transpose(1, 2) for conv in (module.query, module.key, module.value))
    whole = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).view_as(x)
    assert torch.allclose(module(x), module.gamma * whole + x, atol=1e-12)
    if window > 3:
        assert not torch.allclose(randomized(LocalSelfAttention(16, 1))(x), module(x), atol=1e-3)


def test_is_equivariant_to_translation_away_from_the_border(randomized, draw):
    module = randomized(LocalSelfAttention(8, 3))
    x = draw(1, 8, 9, 9)
    moved = module(x.roll((1, 2), dims=(2, 3)))
    assert torch.allclose(
        moved[:, :, 3:-2, 4:-2], module(x).roll((1, 2), dims=(2, 3))[:, :, 3:-2, 4:-2], atol=1e-12
    )


def test_weights_sum_to_one_and_count_each_neighbour_once(randomized, draw):
    """With every score equal, each neighbour on the map weighs the same."""
    module = randomized(LocalSelfAttention(8, 3))
    nn.init.zeros_(module.query.weight)
    nn.init.zeros_(module.query.bias)
    weights = module.weights(draw(2, 8, 4, 7))
    assert weights.shape == (2, 2 * 3, 9, 25)
    assert torch.allclose(weights.sum(dim=3), torch.ones(2, 6, 9, dtype=torch.float64), atol=1e-12)
    # query (0, 0) of the first tile: 2 x 2 neighbours, from row and column 1 of what is around
    corner = weights[0, 0, 0].reshape(5, 5)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    expected[1:3, 1:3] = 1 / 4
    assert torch.allclose(corner, expected, atol=1e-12)
    middle = weights[0, 0, 4].reshape(5, 5)  # query (1, 1): all nine
    assert torch.allclose(middle[1:4, 1:4], torch.full((3, 3), 1 / 9, dtype=torch.float64), atol=1e-12)


def test_weights_grow_in_proportion_to_the_positions(draw):
    module = LocalSelfAttention(8, 5).double()
    small, large = module.weights(draw(1, 8, 10, 10)).numel(), module.weights(draw(1, 8, 20, 40)).numel()
    assert large == 8 * small


def test_starts_as_the_identity(draw):
    x = draw(2, 8, 5, 3)
    assert torch.equal(LocalSelfAttention(8).double()(x), x)


def test_survives_large_inputs(randomized, draw):
    assert torch.isfinite(randomized(LocalSelfAttention(8, 3))(1e4 * draw(1, 8, 3, 4))).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mask_fits_half_precision(draw, dtype):
    module = LocalSelfAttention(8, 3).to(dtype)
    nn.init.ones_(module.gamma)
    assert torch.isfinite(module(draw(1, 8, 3, 4).to(dtype))).all()


@pytest.mark.parametrize("window", [0, 4, -3])
def test_refuses_even_windows(window):
    with pytest.raises(ValueError, match=f"window must be odd.*{window}"):
        LocalSelfAttention(16, window)


def test_refuses_bad_reductions():
    with pytest.raises(ValueError, match="multiple of reduction.*12.*8"):
        LocalSelfAttention(12)
    with pytest.raises(ValueError, match="reduction"):
        LocalSelfAttention(16, reduction=0)
