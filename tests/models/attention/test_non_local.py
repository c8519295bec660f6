"""The four non-local forms against Wang et al., CVPR 2018, eqs. 1-6."""

import math

import numpy as np
import pytest
import torch

from regard.models.attention.non_local import Concatenation, DotProduct, EmbeddedGaussian, Gaussian

FORMS = [Gaussian, EmbeddedGaussian, DotProduct, Concatenation]


def embed(x, p, name):
    """A 1x1 convolution of one image (C, H, W), by loops."""
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    out = np.zeros((len(weight), *x.shape[1:]))
    for o in range(len(weight)):
        for c in range(len(x)):
            out[o] += weight[o, c] * x[c]
        if bias is not None:
            out[o] += bias[o]
    return out


def pool(x, side):
    """Maximum over squares of `side`, incomplete ones left out (section 3.3)."""
    rows, columns = x.shape[1] // side, x.shape[2] // side
    out = np.empty((len(x), rows, columns))
    for i in range(rows):
        for j in range(columns):
            out[:, i, j] = x[:, i * side : (i + 1) * side, j * side : (j + 1) * side].max(axis=(1, 2))
    return out


def positions(x):
    return [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]


def naive_weights(form, x, p, side):
    """f(x_i, x_j) / C(x): one row per position i, one entry per key j."""
    if form is Gaussian:
        queries, keys = positions(x), positions(pool(x, side))
    else:
        queries, keys = positions(embed(x, p, "theta")), positions(pool(embed(x, p, "phi"), side))
    rows = []
    for q in queries:
        if form is Concatenation:
            w = np.concatenate([p["w_theta.weight"][0], p["w_phi.weight"][0]])
            row = [max(0.0, float(w @ np.concatenate([q, k]))) / len(keys) for k in keys]
        elif form is DotProduct:
            row = [float(q @ k) / len(keys) for k in keys]
        else:
            scores = [float(q @ k) for k in keys]
            top = max(scores)
            f = [math.exp(s - top) for s in scores]
            row = [value / sum(f) for value in f]
        rows.append(row)
    return np.array(rows)


def naive_block(form, x, p, side):
    weights = naive_weights(form, x, p, side)
    values = positions(pool(embed(x, p, "g"), side))
    out = np.empty_like(x)
    for i, row in enumerate(weights):
        y = sum(weight * value for weight, value in zip(row, values, strict=True))
        wy = p["project.weight"] @ y + p["project.bias"]
        normed = (wy - p["bn.running_mean"]) / np.sqrt(p["bn.running_var"] + 1e-5) * p["bn.weight"] + p[
            "bn.bias"
        ]
        r, c = divmod(i, x.shape[2])
        out[:, r, c] = normed + x[:, r, c]
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "side"), [((3, 5), 1), ((5, 7), 2), ((4, 4), 2), ((1, 1), 1)])
def test_equations(randomized, arrays, draw, form, size, side):
    module = randomized(form(6, subsample=side))
    x = draw(2, 6, *size)
    p = arrays(module)
    weights, out = module.weights(x).detach().numpy(), module(x).detach().numpy()
    for b in range(2):
        assert np.abs(weights[b] - naive_weights(form, x[b].numpy(), p, side)).max() < 1e-10
        assert np.abs(out[b] - naive_block(form, x[b].numpy(), p, side)).max() < 1e-10


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_starts_as_the_identity(draw, form, training):
    x = draw(2, 8, 5, 3)
    assert torch.equal(form(8).double().train(training)(x), x)


@pytest.mark.parametrize("form", FORMS)
def test_is_equivariant_to_moving_positions(randomized, draw, form):
    module = randomized(form(8))
    x = draw(2, 8, 4, 5)
    order = torch.randperm(20)
    moved = x.flatten(2)[:, :, order].view_as(x)
    assert torch.allclose(module(moved).flatten(2), module(x).flatten(2)[:, :, order], atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_every_position_reaches_every_other(randomized, draw, form):
    module = randomized(form(8))
    x = draw(1, 8, 4, 5).requires_grad_()
    gradient = torch.autograd.grad(module(x)[0, :, 0, 0].pow(2).sum(), x)[0].abs().sum(dim=(0, 1))
    reached = int((gradient > 0).sum())
    assert reached == 20 if form is not Concatenation else reached > 1  # relu shuts some pairs


@pytest.mark.parametrize("form", [Gaussian, EmbeddedGaussian])
def test_softmax_rows_sum_to_one_and_survive_large_inputs(randomized, draw, form):
    module = randomized(form(8))
    weights = module.weights(1e3 * draw(2, 8, 3, 4))
    assert torch.isfinite(weights).all()
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 12, dtype=torch.float64), atol=1e-12)


def test_dot_product_is_associative(randomized, draw):
    """(theta phi^T) g == theta (phi^T g): no normaliser depends on the scores."""
    module = randomized(DotProduct(8))
    x = draw(2, 8, 4, 5)
    theta, phi, g = (conv(x).flatten(2) for conv in (module.theta, module.phi, module.g))  # (B, C/2, N)
    y = (g @ phi.transpose(1, 2) / 20) @ theta  # the C/2 x C/2 product first
    expected = module.bn(module.project(y.view(2, 4, 4, 5))) + x
    assert torch.allclose(module(x), expected, atol=1e-11)


def test_concatenation_weights_are_not_negative_and_not_normalised(randomized, draw):
    weights = randomized(Concatenation(8)).weights(draw(2, 8, 3, 4))
    assert (weights >= 0).all()
    assert not torch.allclose(weights.sum(dim=2), torch.ones(2, 12, dtype=torch.float64))


@pytest.mark.parametrize("form", FORMS)
def test_subsampling_quarters_the_keys(randomized, draw, form):
    assert randomized(form(8, subsample=2)).weights(draw(1, 8, 6, 4)).shape == (1, 24, 6)


def test_forms_differ_only_in_the_pairwise_function():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    c, inner = 16, 8
    base = (c * inner + inner) + (inner * c + c) + 2 * c  # g, W_z, BN
    embeddings = 2 * (c * inner + inner)
    assert [count(form(c)) for form in FORMS] == [
        base,
        base + embeddings,
        base + embeddings,
        base + embeddings + 2 * inner,
    ]


@pytest.mark.parametrize("form", FORMS)
def test_refuses_bad_arguments(form):
    with pytest.raises(ValueError, match="even.*7"):
        form(7)
    with pytest.raises(ValueError, match="subsample.*0"):
        form(8, subsample=0)
