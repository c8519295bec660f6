"""SAN's local self-attention against Zhao, Jia & Koltun, CVPR 2020, eqs. 2-5."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.models.parts.footprint_attention import RELATIONS, PairwiseAttention, PatchwiseAttention, mirror

FORMS = (PairwiseAttention, PatchwiseAttention)
DELTA = {
    "subtraction": lambda q, k: q - k,
    "summation": lambda q, k: q + k,
    "hadamard": lambda q, k: q * k,
    "concatenation": lambda q, k: np.concatenate([q, k]),
    "dot": lambda q, k: np.array([q @ k]),
}
SMALL = {"r1": 1, "r2": 2, "share": 2}  # of 8 channels: phi and psi keep 8, beta has 4, in 2 groups


def reflected(i, size):
    """Walk |i| steps between the two ends of 0 ... size - 1, turning at each."""
    position, step = 0, 1
    for _ in range(abs(i)):
        if size == 1:
            break
        if not 0 <= position + step < size:
            step = -step
        position += step
    return position  # to the left of 0 the walk is the mirror image of the one to the right, and begins alike


def linear(p, name, x):
    return p[f"{name}.weight"] @ x + p[f"{name}.bias"]


def norm(p, name, x):
    return (x - p[f"{name}.running_mean"]) / np.sqrt(p[f"{name}.running_var"] + 1e-5) * p[
        f"{name}.weight"
    ] + p[f"{name}.bias"]


def gamma(p, x):
    hidden = p["gamma.2.weight"] @ np.maximum(norm(p, "gamma.0", x), 0)
    return linear(p, "gamma.5", np.maximum(norm(p, "gamma.3", hidden), 0))


def footprint(i, j, rows, columns, k):
    return [
        (reflected(i + a, rows), reflected(j + b, columns))
        for a in range(-(k // 2), k // 2 + 1)
        for b in range(-(k // 2), k // 2 + 1)
    ]


def place(i, j, rows, columns):
    return np.array([2 * j / max(columns - 1, 1) - 1, 2 * i / max(rows - 1, 1) - 1])


def naive(p, x, k, groups, relation):
    """One image (C, H, W); `relation` is None for the patchwise form."""
    _, rows, columns = x.shape
    q, key, value = (
        {(i, j): linear(p, n, x[:, i, j]) for i in range(rows) for j in range(columns)}
        for n in ("query", "key", "value")
    )
    out = np.empty((p["value.weight"].shape[0], rows, columns))
    for i in range(rows):
        for j in range(columns):
            seen = footprint(i, j, rows, columns, k)
            if relation is None:
                a = gamma(p, np.concatenate([q[i, j], *(key[s] for s in seen)])).reshape(groups, k * k)
            else:
                at = linear(p, "position", place(i, j, rows, columns))
                pairs = [
                    np.concatenate(
                        [
                            DELTA[relation](q[i, j], key[s]),
                            at - linear(p, "position", place(*s, rows, columns)),
                        ]
                    )
                    for s in seen
                ]
                a = np.exp(np.stack([gamma(p, pair) for pair in pairs], axis=1))
                a /= a.sum(axis=1, keepdims=True)
            for c in range(len(out)):
                out[c, i, j] = sum(a[c % groups, n] * value[s][c] for n, s in enumerate(seen))
    return out


@pytest.mark.parametrize(
    ("size", "k"), [((5, 4), 3), ((5, 4), 7), ((4, 5), 5), ((1, 3), 3), ((2, 1), 5), ((1, 1), 7)]
)
@pytest.mark.parametrize("relation", [*RELATIONS, None])
def test_equations(randomized, arrays, draw, relation, size, k):
    form = (
        PatchwiseAttention(8, k, **SMALL)
        if relation is None
        else PairwiseAttention(8, k, relation=relation, **SMALL)
    )
    module = randomized(form)
    x = draw(2, 8, *size)
    out = module(x).detach().numpy()
    assert out.shape == (2, 4, *size)
    for b in range(2):
        assert np.abs(out[b] - naive(arrays(module), x[b].numpy(), k, 2, relation)).max() < 1e-10


@pytest.mark.parametrize("form", FORMS)
def test_shifts_equal_the_unfold_form(randomized, draw, form):
    """The authors' test of their kernel: gathering the patches with unfold, weighing and summing is the
    same.
    """
    module = randomized(form(32, 5))
    x = draw(2, 32, 6, 7)
    weights = module.weights(x)  # (B, 1, 25, 6, 7)
    patches = F.unfold(F.pad(module.value(x), (2, 2, 2, 2), mode="reflect"), 5).reshape(2, 8, 1, 25, 6, 7)
    assert torch.allclose(module(x), (weights[:, None] * patches).sum(dim=3).flatten(1, 2), atol=1e-12)


def permuted(module, x, order):
    """Weights of the middle of a k x k map, and of the same map with its other positions in another order."""
    k = module.footprint
    y = x.flatten(2)[:, :, order].reshape(x.shape)
    middle = k // 2
    return module.weights(x)[:, :, :, middle, middle], module.weights(y)[:, :, :, middle, middle]


ORDER = [8, 2, 5, 0, 4, 7, 1, 6, 3]  # of a 3 x 3 footprint; its centre stays


@pytest.mark.parametrize("relation", RELATIONS)
def test_pairwise_is_a_set_operation_but_for_the_position(randomized, draw, relation):
    """Section 3.1: each weight follows its position wherever that goes, once positions are not told apart."""
    module = randomized(PairwiseAttention(8, 3, relation=relation, **SMALL))
    x = draw(1, 8, 3, 3)
    before, after = permuted(module, x, ORDER)
    assert not torch.allclose(after, before[:, :, ORDER], atol=1e-3)
    nn.init.zeros_(module.position.weight)
    before, after = permuted(module, x, ORDER)
    assert torch.allclose(after, before[:, :, ORDER], atol=1e-12)
    assert not torch.allclose(after, before, atol=1e-3)


def test_patchwise_tells_orders_apart(randomized, draw):
    module = randomized(PatchwiseAttention(8, 3, **SMALL))
    before, after = permuted(module, draw(1, 8, 3, 3), ORDER)
    assert not torch.allclose(after, before[:, :, ORDER], atol=1e-3)


def test_pairwise_weights_sum_to_one(randomized, draw):
    weights = randomized(PairwiseAttention(8, 5, **SMALL)).weights(draw(2, 8, 4, 6))
    assert weights.shape == (2, 2, 25, 4, 6)
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 2, 4, 6, dtype=torch.float64), atol=1e-12)
    assert (weights > 0).all()


def test_patchwise_weights_need_not_sum_to_one(randomized, draw):
    weights = randomized(PatchwiseAttention(8, 3, **SMALL)).weights(draw(1, 8, 4, 6))
    assert weights.shape == (1, 2, 9, 4, 6)
    assert (weights < 0).any()


@pytest.mark.parametrize("form", FORMS)
def test_gradient_support_is_the_footprint(randomized, draw, form):
    module = randomized(form(8, 5, **SMALL))
    x = draw(1, 8, 11, 12).requires_grad_()
    support = torch.autograd.grad(module(x)[0, :, 5, 6].pow(2).sum(), x)[0].abs().sum(dim=(0, 1)) > 0
    expected = torch.zeros(11, 12, dtype=torch.bool)
    expected[3:8, 4:9] = True
    assert torch.equal(support, expected)


@pytest.mark.parametrize("form", FORMS)
def test_channels_share_weights(randomized, draw, form):
    """With equal values in all channels, channels that share weights answer alike, others do not."""
    module = randomized(form(8, 3, **SMALL))
    with torch.no_grad():
        module.value.weight.copy_(module.value.weight[:1].expand_as(module.value.weight))
        module.value.bias.zero_()
    out = module(draw(1, 8, 5, 5))[0]
    assert torch.allclose(out[0], out[2], atol=1e-12)
    assert torch.allclose(out[1], out[3], atol=1e-12)
    assert not torch.allclose(out[0], out[1], atol=1e-3)


@pytest.mark.parametrize("size", [(7, 7), (4, 5), (3, 9), (3, 3), (2, 6), (1, 4), (1, 1)])
@pytest.mark.parametrize("margin", [0, 1, 3])
def test_mirror_is_numpys(draw, size, margin):
    x = draw(1, 2, *size)
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), (margin, margin), (margin, margin)], mode="reflect")
    assert np.array_equal(mirror(x, margin).numpy(), expected)


def test_position_is_the_papers(draw):
    """Coordinates run from -1 to 1 along each axis, so that a larger map has smaller steps."""
    module = PairwiseAttention(16, 3, share=4).double()
    seen = []
    module.position.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    module(draw(1, 16, 3, 5))
    assert torch.allclose(
        seen[0][0, 0], torch.linspace(-1, 1, 5, dtype=torch.float64).expand(3, 5), atol=1e-15
    )
    assert torch.allclose(
        seen[0][0, 1], torch.linspace(-1, 1, 3, dtype=torch.float64)[:, None].expand(3, 5), atol=1e-15
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"footprint": 4}, "footprint.*odd.*4"),
        ({"footprint": -1}, "footprint.*-1"),
        ({"r1": 5}, "multiple of r1.*64 and 5"),
        ({"r2": 0}, "multiple of r2.*64 and 0"),
        ({"share": 3}, "multiple of share.*64 / 4 and 3"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_refuses_bad_arguments(form, arguments, message):
    with pytest.raises(ValueError, match=message):
        form(64, **arguments)


def test_refuses_unknown_relations():
    with pytest.raises(ValueError, match="relation must be one of subtraction.*'division'"):
        PairwiseAttention(64, relation="division")
