"""Self-attention against Vaswani et al., NeurIPS 2017, eq. 1 and section 3.2.2, and PyTorch's own."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.self_attention import MultiHeadSelfAttention, SelfAttention


def naive_head(q, k, v):
    """softmax(q k^T / sqrt(D)) v of arrays (N, D), by loops."""
    out = np.zeros_like(v)
    for i, query in enumerate(q):
        scores = [sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(len(query)) for key in k]
        total = sum(math.exp(s) for s in scores)
        for s, value in zip(scores, v, strict=True):
            out[i] += math.exp(s) / total * value
    return out


def linear(p, name, tokens):
    return tokens @ p[f"{name}.weight"].T + p[f"{name}.bias"]


@pytest.mark.parametrize("size", [(3, 4), (5, 1), (1, 1)])
def test_single_head_equations(randomized, arrays, draw, size):
    module = randomized(SelfAttention(8))
    x, p = draw(2, 8, *size), arrays(module)
    out = module(x).detach().flatten(2).transpose(1, 2).numpy()
    for b in range(2):
        tokens = x[b].flatten(1).T.numpy()
        expected = tokens + p["gamma"][0] * naive_head(
            *(linear(p, name, tokens) for name in ("query", "key", "value"))
        )
        assert np.abs(out[b] - expected).max() < 1e-10


@pytest.mark.parametrize("size", [(3, 4), (5, 1), (1, 1)])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_heads_are_separate_and_concatenated(randomized, arrays, draw, size, heads):
    module = randomized(MultiHeadSelfAttention(8, heads))
    x, p = draw(2, 8, *size), arrays(module)
    out, depth = module(x).detach().flatten(2).transpose(1, 2).numpy(), 8 // heads
    for b in range(2):
        tokens = x[b].flatten(1).T.numpy()
        q, k, v = (linear(p, name, tokens) for name in ("query", "key", "value"))
        parts = [slice(h * depth, (h + 1) * depth) for h in range(heads)]
        joined = np.concatenate([naive_head(q[:, part], k[:, part], v[:, part]) for part in parts], axis=1)
        assert np.abs(out[b] - (tokens + linear(p, "project", joined))).max() < 1e-10


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_equals_pytorchs_multi_head_attention(randomized, draw, heads):
    module = randomized(MultiHeadSelfAttention(16, heads))
    reference = nn.MultiheadAttention(16, heads, batch_first=True).double()
    layers = (module.query, module.key, module.value)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]).flatten(1))
        reference.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        reference.out_proj.weight.copy_(module.project.weight.flatten(1))
        reference.out_proj.bias.copy_(module.project.bias)
    x = draw(2, 16, 5, 4)
    tokens = x.flatten(2).transpose(1, 2)
    expected, weights = reference(tokens, tokens, tokens, average_attn_weights=False)
    assert torch.allclose((module(x) - x).flatten(2).transpose(1, 2), expected, atol=1e-10, rtol=0)
    assert torch.allclose(module.weights(x), weights, atol=1e-12, rtol=0)


def test_single_head_equals_pytorchs(randomized, draw):
    module = randomized(SelfAttention(16))
    tokens = draw(2, 16, 5, 4).flatten(2).transpose(1, 2)
    q, k, v = (
        nn.functional.linear(tokens, getattr(module, n).weight.flatten(1), getattr(module, n).bias)
        for n in ("query", "key", "value")
    )
    x = draw(2, 16, 5, 4)
    expected = module.gamma * nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.allclose((module(x) - x).flatten(2).transpose(1, 2), expected, atol=1e-10, rtol=0)


MODULES = [SelfAttention(8), MultiHeadSelfAttention(8, heads=4)]


@pytest.mark.parametrize("module", MODULES)
def test_positions_have_no_order(randomized, draw, module):
    module = randomized(module)
    x, order = draw(2, 8, 3, 5), torch.randperm(15, generator=torch.Generator().manual_seed(3))
    shuffled = x.flatten(2)[:, :, order].view_as(x)
    assert torch.allclose(module(shuffled).flatten(2), module(x).flatten(2)[:, :, order], atol=1e-10, rtol=0)


@pytest.mark.parametrize("module", MODULES)
def test_every_position_sees_every_position(randomized, draw, module):
    x = draw(1, 8, 3, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(randomized(module)(x)[0, :, 1, 2].pow(2).sum(), x)
    assert (gradient.abs().sum(dim=1) > 0).all()


def test_weights_are_distributions(randomized, draw):
    x = draw(2, 8, 3, 5)
    for module, shape in zip(MODULES, [(2, 15, 15), (2, 4, 15, 15)], strict=True):
        weights = randomized(module).weights(x)
        assert weights.shape == shape
        assert (weights > 0).all()
        assert torch.allclose(weights.sum(dim=-1), torch.ones(shape[:-1]).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("module", [SelfAttention(8), MultiHeadSelfAttention(8)])
def test_starts_as_the_identity(draw, module):
    x = draw(2, 8, 5, 3).float()
    assert torch.equal(module(x), x)


@pytest.mark.parametrize("heads", [0, -2, 3])
def test_refuses_heads(heads):
    with pytest.raises(ValueError, match=rf"multiple of heads, got 16 and {heads}"):
        MultiHeadSelfAttention(16, heads)
