"""CBAM against Woo et al., ECCV 2018, eqs. 1-3, and the authors' BatchNorm in the spatial gate."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.cbam import CBAM, ChannelGate, SpatialGate
from regard.models.catalog import build


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def affine(weight, bias, z):
    """W z + b, by loops."""
    return [sum(w * v for w, v in zip(row, z, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def naive_channel_gate(x, p, prefix):
    """Mc of one image (C, H, W)."""

    def mlp(z):
        hidden = [
            max(0.0, value) for value in affine(p[f"{prefix}mlp.0.weight"], p[f"{prefix}mlp.0.bias"], z)
        ]
        return affine(p[f"{prefix}mlp.2.weight"], p[f"{prefix}mlp.2.bias"], hidden)

    means = [sum(map(float, plane.flat)) / plane.size for plane in x]
    maxima = [max(map(float, plane.flat)) for plane in x]
    return [sigmoid(a + b) for a, b in zip(mlp(means), mlp(maxima), strict=True)]


def naive_spatial_gate(x, p, prefix):
    """Ms of one image (C, H, W): sigmoid(BN(conv7x7([max; mean])))."""
    _channels, rows, columns = x.shape
    pooled = np.stack([x.max(axis=0), x.mean(axis=0)])
    kernel = p[f"{prefix}conv.weight"][0]
    half = kernel.shape[1] // 2
    scale, shift, mean, variance = (
        p[f"{prefix}bn.{k}"][0] for k in ("weight", "bias", "running_mean", "running_var")
    )
    gate = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for k in range(2):
                for u in range(-half, half + 1):
                    for v in range(-half, half + 1):
                        if 0 <= i + u < rows and 0 <= j + v < columns:
                            total += kernel[k, u + half, v + half] * pooled[k, i + u, j + v]
            gate[i, j] = sigmoid((total - mean) / math.sqrt(variance + 1e-5) * scale + shift)
    return gate


@pytest.mark.parametrize(("size", "kernel_size"), [((5, 7), 7), ((9, 8), 3), ((1, 1), 7)])
def test_equations(randomized, arrays, draw, size, kernel_size):
    module = randomized(CBAM(8, reduction=4, kernel_size=kernel_size))
    x = draw(2, 8, *size)
    p = arrays(module)
    if kernel_size > 1:
        p["spatial_gate.conv.weight"] = module.spatial_gate.conv.weight.detach().numpy()
    expected = np.empty(x.shape)
    for b in range(2):
        image = x[b].numpy()
        gated = np.stack(
            [
                plane * gate
                for plane, gate in zip(image, naive_channel_gate(image, p, "channel_gate."), strict=True)
            ]
        )
        expected[b] = gated * naive_spatial_gate(gated, p, "spatial_gate.")
    assert np.abs(module(x).detach().numpy() - expected).max() < 1e-10
    assert np.abs((x * module.weights(x)).detach().numpy() - expected).max() < 1e-10


def test_channel_weight_is_in_0_1_and_constant_over_space(randomized, draw):
    gate = randomized(ChannelGate(32))
    x = draw(2, 32, 5, 6)
    weights = gate(x)
    assert weights.shape == (2, 32, 1, 1)
    assert ((weights > 0) & (weights < 1)).all()
    shuffled = x.flatten(2)[:, :, torch.randperm(30)].view_as(x)
    assert torch.allclose(weights, gate(shuffled), atol=1e-12, rtol=0)


def test_spatial_weight_is_in_0_1_and_constant_over_channels(randomized, draw):
    gate = randomized(SpatialGate())
    x = draw(2, 32, 5, 6)
    weights = gate(x)
    assert weights.shape == (2, 1, 5, 6)
    assert ((weights > 0) & (weights < 1)).all()
    assert torch.allclose(weights, gate(x[:, torch.randperm(32)]), atol=1e-12, rtol=0)


def test_channel_gate_sees_the_maximum_as_well_as_the_mean(randomized):
    """Two maps of equal mean but different maximum get different weights."""
    gate = randomized(ChannelGate(16))
    flat = torch.ones(1, 16, 2, 2, dtype=torch.float64)
    peaked = torch.zeros_like(flat)
    peaked[:, :, 0, 0] = 4
    assert not torch.allclose(gate(flat), gate(peaked))


def test_product_of_gates_factors(randomized, draw):
    """weights = Mc (over channels) x Ms (over space): of rank one in every image."""
    weights = randomized(CBAM(16)).weights(draw(2, 16, 4, 5))
    singular = torch.linalg.svdvals(weights.flatten(2))
    assert (singular[:, 1] < 1e-12).all()
    assert ((weights > 0) & (weights < 1)).all()


def test_the_spatial_convolution_has_no_bias_and_the_authors_momentum():
    gate = SpatialGate()
    assert gate.conv.bias is None
    assert gate.conv.kernel_size == (7, 7)
    assert gate.bn.momentum == 0.01


def test_parameter_count_of_the_paper():
    with torch.device("meta"):
        network = build("cbam_resnet50")
    assert sum(p.numel() for p in network.parameters()) == 28_089_624


def test_acts_on_the_residual_branch_before_the_sum(draw):
    block = build("cbam_resnet18", width=16).double().eval().backbone.layer1[1]
    nn.init.constant_(block.attention.spatial_gate.bn.bias, -800.0)
    x = draw(2, 16, 5, 5)
    assert torch.equal(block(x), x.relu())


def test_refuses_channels_that_do_not_divide():
    with pytest.raises(ValueError, match="multiple of reduction.*24.*16"):
        CBAM(24)


@pytest.mark.parametrize("kernel_size", [2, 0, 6])
def test_refuses_even_kernels(kernel_size):
    with pytest.raises(ValueError, match=rf"odd.*{kernel_size}"):
        CBAM(16, kernel_size=kernel_size)


@pytest.mark.parametrize("reduction", [0, -4])
def test_refuses_reductions_below_one(reduction):
    with pytest.raises(ValueError, match="reduction"):
        CBAM(16, reduction)
