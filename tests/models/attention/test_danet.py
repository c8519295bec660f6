"""DANet's two modules against Fu et al., CVPR 2019, eqs. 1-4."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.danet import ChannelAttention, PositionAttention


def softmax(scores):
    top = max(scores)
    values = [math.exp(score - top) for score in scores]
    return [value / sum(values) for value in values]


def naive_position(x, p):
    """y_j = alpha sum_i s_ji d_i + x_j of one image (C, H, W)."""
    _channels, rows, columns = x.shape
    pixels = [x[:, i, j] for i in range(rows) for j in range(columns)]
    b, c, d = (
        [p[f"{name}.weight"] @ pixel + p[f"{name}.bias"] for pixel in pixels]
        for name in ("query", "key", "value")
    )
    weights, out = np.empty((len(pixels), len(pixels))), np.empty_like(x)
    for j in range(len(pixels)):
        weights[j] = softmax([float(b[j] @ c[i]) for i in range(len(pixels))])
        out[:, j // columns, j % columns] = (
            p["alpha"][0] * sum(w * v for w, v in zip(weights[j], d, strict=True)) + pixels[j]
        )
    return weights, out


def naive_channel(x, beta):
    """y_j = beta sum_i softmax_i(max_i e_ji - e_ji) a_i + a_j, with e = A A^T."""
    channels = len(x)
    energy = [[float((x[j] * x[i]).sum()) for i in range(channels)] for j in range(channels)]
    weights = np.array([softmax([max(row) - e for e in row]) for row in energy])
    out = np.empty_like(x)
    for j in range(channels):
        out[j] = beta * sum(weights[j, i] * x[i] for i in range(channels)) + x[j]
    return weights, out


@pytest.mark.parametrize("size", [(3, 5), (1, 1), (4, 4)])
def test_position_equations(randomized, arrays, draw, size):
    module = randomized(PositionAttention(8, reduction=2))
    x = draw(2, 8, *size)
    for b in range(2):
        weights, out = naive_position(x[b].numpy(), arrays(module))
        assert np.abs(module.weights(x)[b].detach().numpy() - weights).max() < 1e-10
        assert np.abs(module(x)[b].detach().numpy() - out).max() < 1e-10


@pytest.mark.parametrize(("channels", "size"), [(8, (3, 5)), (5, (1, 1)), (1, (4, 4))])
def test_channel_equations(randomized, draw, channels, size):
    module = randomized(ChannelAttention())
    x = draw(2, channels, *size)
    for b in range(2):
        weights, out = naive_channel(x[b].numpy(), module.beta.item())
        assert np.abs(module.weights(x)[b].detach().numpy() - weights).max() < 1e-10
        assert np.abs(module(x)[b].detach().numpy() - out).max() < 1e-10


@pytest.mark.parametrize("module", [PositionAttention(8), ChannelAttention()])
def test_starts_as_the_identity(draw, module):
    x = draw(2, 8, 5, 3)
    assert torch.equal(module.double()(x), x)


def test_position_is_equivariant_to_moving_positions(randomized, draw):
    module = randomized(PositionAttention(8))
    x = draw(2, 8, 4, 5)
    order = torch.randperm(20)
    moved = x.flatten(2)[:, :, order].view_as(x)
    assert torch.allclose(module(moved).flatten(2), module(x).flatten(2)[:, :, order], atol=1e-11)


def test_position_attention_mixes_space_only(randomized, draw):
    """With the values themselves as d and every score equal, a channel sees the mean of itself and of no
    other.
    """
    module = randomized(PositionAttention(8))
    nn.init.zeros_(module.query.weight)
    nn.init.zeros_(module.query.bias)
    nn.init.dirac_(module.value.weight)
    nn.init.zeros_(module.value.bias)
    x = draw(1, 8, 3, 4).requires_grad_()
    assert torch.allclose(module(x), x + module.alpha * x.mean(dim=(2, 3), keepdim=True), atol=1e-12)
    gradient = torch.autograd.grad(module(x)[0, 2, 1, 1], x)[0][0]
    assert (gradient[2] != 0).all()
    assert (gradient[[0, 1, 3, 4, 5, 6, 7]] == 0).all()


def test_chan_am_has_no_parameter_but_beta():
    assert [(name, p.numel()) for name, p in ChannelAttention().named_parameters()] == [("beta", 1)]


def test_chan_am_mixes_channels_only(randomized, draw):
    """Each position's answer is one and the same matrix times that position's channels."""
    module = randomized(ChannelAttention())
    x = draw(2, 6, 3, 4)
    mixed = (module(x) - x) / module.beta
    weights = module.weights(x)
    for i in range(3):
        for j in range(4):
            assert torch.allclose(mixed[:, :, i, j], (weights @ x[:, :, i, j, None])[..., 0], atol=1e-11)
    assert (weights > 0).all()
    assert not torch.allclose(weights, torch.eye(6, dtype=torch.float64).expand_as(weights), atol=1e-3)


def test_chan_am_is_equivariant_to_channels_and_to_positions(randomized, draw):
    module = randomized(ChannelAttention())
    x = 0.3 * draw(2, 6, 3, 4)
    channels, cells = torch.randperm(6), torch.randperm(12)
    assert torch.allclose(module(x[:, channels]), module(x)[:, channels], atol=1e-11)
    moved = x.flatten(2)[:, :, cells].view_as(x)
    assert torch.allclose(module(moved).flatten(2), module(x).flatten(2)[:, :, cells], atol=1e-11)


def test_chan_am_turns_similar_channels_away():
    """max(e) - e: of two channels the one more alike weighs less."""
    x = torch.zeros(1, 3, 1, 2, dtype=torch.float64)
    x[0, 0, 0] = torch.tensor([1.0, 0.0])
    x[0, 1, 0] = torch.tensor([0.9, 0.1])  # nearly channel 0
    x[0, 2, 0] = torch.tensor([0.0, 1.0])  # orthogonal to it
    weights = ChannelAttention().weights(x)
    assert weights[0, 0, 2] > weights[0, 0, 1] > weights[0, 0, 0]


@pytest.mark.parametrize("module", [PositionAttention(8), ChannelAttention()])
def test_rows_sum_to_one_and_survive_large_inputs(randomized, draw, module):
    weights = randomized(module).weights(1e3 * draw(2, 8, 3, 4))
    assert torch.isfinite(weights).all()
    assert torch.allclose(weights.sum(dim=2), torch.ones(weights.shape[:2], dtype=torch.float64), atol=1e-12)


def test_refuses_channels_that_do_not_divide():
    with pytest.raises(ValueError, match="multiple of reduction.*12.*8"):
        PositionAttention(12)


@pytest.mark.parametrize("reduction", [0, -4])
def test_refuses_reductions_below_one(reduction):
    with pytest.raises(ValueError, match="reduction"):
        PositionAttention(16, reduction)
