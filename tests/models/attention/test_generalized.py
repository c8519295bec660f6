"""Generalized attention against Zhu et al., ICCV 2019: each of the fifteen subsets of the four terms, and
mmcv.
"""

import math
from itertools import product

import numpy as np
import pytest
import torch

from regard.models.attention.generalized import GeneralizedAttention

SUBSETS = ["".join(digits) for digits in product("01", repeat=4)][1:]


def sinusoids(t, channels):
    angles = [t / 1000 ** (4 * n / channels) for n in range(channels // 4)]
    return np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def biases(module, terms):
    """u and v by head, from the parts that have them."""
    parts = iter(module.parts)
    u = v = None
    if terms[0] == "1" or terms[2] == "1":
        u = next(parts).bias
    if terms[1] == "1" or terms[3] == "1":
        v = next(parts).bias
    return (None if bias is None else bias.detach().numpy()[0, :, 0, 0] for bias in (u, v))


def naive_block(x, module, terms, heads, stride, p):
    """One image (C, H, W), query by query and key by key; also the attention, (heads, queries, keys)."""
    channels, rows, columns = x.shape
    queries = [(i, j) for i in range(rows) for j in range(columns)]
    keys = [(i, j) for i in range(0, rows, stride) for j in range(0, columns, stride)]
    u, v = biases(module, terms)
    place = f"parts.{len(module.parts) - 1}."
    depth = channels // heads
    weights = np.zeros((heads, len(queries), len(keys)))
    out = np.empty_like(x)
    for a, (i, j) in enumerate(queries):
        context = np.zeros(channels)
        for m in range(heads):
            mine = slice(m * depth, (m + 1) * depth)
            scores = []
            for r, c in keys:
                score = 0.0
                if terms[0] == "1":
                    score += (p["query.weight"] @ x[:, i, j])[mine] @ (p["parts.0.key.weight"] @ x[:, r, c])[
                        mine
                    ]
                if terms[2] == "1":
                    score += u[m] @ (p["parts.0.key.weight"] @ x[:, r, c])[mine]
                if terms[1] == "1" or terms[3] == "1":
                    across = p[place + "across.weight"] @ sinusoids(j - c, channels)
                    relative = (
                        (across + p[place + "down.weight"] @ sinusoids(i - r, channels)) / math.sqrt(2)
                    )[mine]
                    if terms[1] == "1":
                        score += (p["query.weight"] @ x[:, i, j])[mine] @ relative
                    if terms[3] == "1":
                        score += v[m] @ relative
                scores.append(float(score))
            f = np.exp(np.array(scores) - max(scores))
            weights[m, a] = f / f.sum()
            context[mine] = sum(
                weight * (p["value.weight"] @ x[:, r, c])[mine]
                for weight, (r, c) in zip(weights[m, a], keys, strict=True)
            )
        out[:, i, j] = p["gamma"][0] * (p["project.weight"] @ context + p["project.bias"]) + x[:, i, j]
    return out, weights


@pytest.mark.parametrize("terms", SUBSETS)
@pytest.mark.parametrize(("size", "stride"), [((3, 4), 2), ((2, 3), 1)])
def test_equations(randomized, arrays, draw, terms, size, stride):
    module = randomized(GeneralizedAttention(8, terms, heads=2, stride=stride))
    x = draw(2, 8, *size)
    out, weights = module(x).detach().numpy(), module.weights(x).detach().numpy()
    for b in range(2):
        expected, attention = naive_block(x[b].numpy(), module, terms, 2, stride, arrays(module))
        assert np.abs(weights[b] - attention).max() < 1e-10  # one row for all queries is broadcast
        assert np.abs(out[b] - expected).max() < 1e-10


def test_key_content_alone_is_the_same_for_all_queries(randomized, draw):
    module = randomized(GeneralizedAttention(8, "0010", heads=2))
    x = draw(2, 8, 4, 5)
    assert module.weights(x).shape == (2, 2, 1, 6)
    change = module(x) - x
    assert torch.allclose(change, change[:, :, :1, :1].expand_as(change), atol=1e-12)
    full = randomized(GeneralizedAttention(8, "1010", heads=2)).weights(x)
    assert not torch.allclose(full, full[:, :, :1], atol=1e-3)


def test_relative_position_alone_does_not_look_at_the_image(randomized, draw):
    module = randomized(GeneralizedAttention(8, "0001", heads=2))
    assert torch.equal(module.weights(draw(2, 8, 4, 5)), module.weights(draw(2, 8, 4, 5, seed=1)))
    other = randomized(GeneralizedAttention(8, "0011", heads=2))
    assert not torch.allclose(
        other.weights(draw(2, 8, 4, 5)), other.weights(draw(2, 8, 4, 5, seed=1)), atol=1e-3
    )


def test_relative_position_alone_depends_on_the_distance(randomized, draw):
    """Without the ends of the map in between: the ratio of two weights is the same for a query and keys all
    moved by one.
    """
    weights = (
        randomized(GeneralizedAttention(8, "0001", heads=2, stride=1))
        .weights(draw(1, 8, 3, 6))
        .unflatten(2, (3, 6))
        .unflatten(4, (3, 6))
    )
    first, moved = weights[0, :, 1, 2], weights[0, :, 1, 3]
    assert torch.allclose(first[:, 1, 1] / first[:, 1, 4], moved[:, 1, 2] / moved[:, 1, 5], atol=1e-12)


def test_all_four_terms_are_the_sum_of_the_parts(randomized, draw):
    """Scores, found from the weights up to a constant of each query, add up."""
    whole = randomized(GeneralizedAttention(8, heads=2))
    x = draw(2, 8, 4, 5)
    total = torch.zeros(())
    for terms in ("1000", "0100", "0010", "0001"):
        part = GeneralizedAttention(8, terms, heads=2).double()
        mine = part.parts[0]
        source = whole.parts[0] if terms in ("1000", "0010") else whole.parts[1]
        state = {name: value for name, value in source.state_dict().items() if name in mine.state_dict()}
        mine.load_state_dict(state)
        if part.query is not None:
            part.query.load_state_dict(whole.query.state_dict())
        total = total + part.weights(x).log()
    assert torch.allclose(whole.weights(x), total.softmax(dim=3), atol=1e-12)


@pytest.mark.parametrize("terms", SUBSETS)
def test_has_the_parameters_of_its_terms_only(terms):
    module = GeneralizedAttention(16, terms, heads=4)
    query, content, position = (
        "1" in terms[:2],
        terms[0] == "1" or terms[2] == "1",
        terms[1] == "1" or terms[3] == "1",
    )
    expected = (
        16 * 16 * (query + content)
        + 2 * 8 * 16 * position
        + 16 * (terms[2:].count("1"))
        + 16 * 16
        + (16 * 16 + 16)
        + 1
    )
    assert sum(p.numel() for p in module.parameters()) == expected


@pytest.mark.parametrize("terms", SUBSETS)
def test_starts_as_the_identity(draw, terms):
    x = draw(2, 16, 5, 3)
    assert torch.equal(GeneralizedAttention(16, terms).double()(x), x)


def test_survives_large_inputs(randomized, draw):
    assert torch.isfinite(randomized(GeneralizedAttention(16))(1e4 * draw(1, 16, 3, 4))).all()


@pytest.mark.parametrize("terms", ["0000", "111", "11111", "1112", ""])
def test_refuses_terms_that_are_none(terms):
    with pytest.raises(ValueError, match=f"terms.*'{terms}'"):
        GeneralizedAttention(16, terms)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="multiple of 4 and of heads.*12.*8"):
        GeneralizedAttention(12)
    with pytest.raises(ValueError, match="multiple of 4.*6"):
        GeneralizedAttention(6, heads=2)
    with pytest.raises(ValueError, match="stride.*0"):
        GeneralizedAttention(16, stride=0)


# mmcv 2.1.0 takes the query of the term down the rows from the transposed map when "0100" is on and "0001" is
# off: it fails unless H = W
@pytest.mark.oracles
@pytest.mark.parametrize("terms", [terms for terms in SUBSETS if terms[1] <= terms[3]])
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_mmcv(randomized, draw, terms, stride):
    bricks = pytest.importorskip("mmcv.cnn.bricks", reason="mmcv is not installed")
    module = randomized(GeneralizedAttention(16, terms, stride=stride))
    theirs = bricks.GeneralizedAttention(16, num_heads=8, attention_type=terms, kv_stride=stride).double()
    state = {}
    for name, value in module.state_dict().items():
        position = name.startswith(f"parts.{len(module.parts) - 1}.") and (terms[1] == "1" or terms[3] == "1")
        leaf = name.split(".")[-2] if name.endswith("weight") else name.split(".")[-1]
        if name == "project.bias":
            state["proj_conv.bias"] = value
        elif leaf == "bias":
            state["geom_bias" if position else "appr_bias"] = value.flatten()
        elif leaf == "gamma":
            state["gamma"] = value
        else:
            names = {"query": "query_conv", "key": "key_conv", "value": "value_conv", "project": "proj_conv"}
            names |= {"across": "appr_geom_fc_x", "down": "appr_geom_fc_y"}
            state[f"{names[leaf]}.weight"] = value
    theirs.load_state_dict(state)
    x = draw(2, 16, 5, 6)
    assert torch.allclose(module(x), theirs(x), atol=1e-10)
