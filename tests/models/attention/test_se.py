"""SE against Hu et al., CVPR 2018, eqs. 2-4."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.se import SqueezeExcite
from regard.models.catalog import build


def affine(weight, bias, z):
    """W z + b, by loops."""
    return [sum(w * v for w, v in zip(row, z, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def naive_gate(x, p):
    """s_c of one image (C, H, W), by loops."""
    channels, rows, columns = x.shape
    z = [
        sum(x[c, i, j] for i in range(rows) for j in range(columns)) / (rows * columns)
        for c in range(channels)
    ]
    hidden = [max(0.0, value) for value in affine(p["squeeze.weight"], p["squeeze.bias"], z)]
    return [1 / (1 + math.exp(-value)) for value in affine(p["excite.weight"], p["excite.bias"], hidden)]


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (4, 4)])
def test_equations(randomized, arrays, draw, size):
    module = randomized(SqueezeExcite(8, reduction=4))
    x = draw(2, 8, *size)
    expected = np.empty(x.shape)
    for b in range(2):
        for c, gate in enumerate(naive_gate(x[b].numpy(), arrays(module))):
            expected[b, c] = x[b, c].numpy() * gate
    assert np.abs(module(x).detach().numpy() - expected).max() < 1e-10


def test_gate_ignores_where_things_are(randomized, draw):
    module = randomized(SqueezeExcite(16))
    x = draw(2, 16, 6, 5)
    shuffled = x.flatten(2)[:, :, torch.randperm(30)].view_as(x)
    assert torch.allclose(module.weights(x), module.weights(shuffled), atol=1e-12, rtol=0)
    assert not torch.allclose(module(x), module(shuffled))


def test_gate_depends_on_every_channel(randomized, draw):
    module = randomized(SqueezeExcite(16, reduction=2))
    x = draw(1, 16, 3, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(module.weights(x)[0, 5, 0, 0], x)
    assert (gradient.abs().sum(dim=(0, 2, 3)) > 0).all()


def test_gate_is_in_0_1_and_constant_over_space(randomized, draw):
    module = randomized(SqueezeExcite(16))
    x = draw(3, 16, 4, 6)
    gate = module.weights(x)
    assert gate.shape == (3, 16, 1, 1)
    assert ((gate > 0) & (gate < 1)).all()
    assert torch.allclose(module(x) / x, gate.expand_as(x), atol=1e-10)


def test_parameter_count_of_the_paper():
    with torch.device("meta"):
        network = build("se_resnet50")
    assert sum(p.numel() for p in network.parameters()) == 28_088_024


def test_module_parameters():
    """2 C^2 / r weights (section 3.2), and the biases."""
    assert sum(p.numel() for p in SqueezeExcite(64).parameters()) == 2 * 64 * 64 // 16 + 64 + 4


def test_acts_on_the_residual_branch_before_the_sum(draw):
    """With every gate shut, a block is relu of its shortcut."""
    block = build("se_resnet18", width=16).double().eval().backbone.layer1[1]
    nn.init.zeros_(block.attention.excite.weight)
    nn.init.constant_(block.attention.excite.bias, -800.0)
    x = draw(2, 16, 5, 5)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize(("channels", "reduction"), [(24, 16), (8, 16), (10, 3)])
def test_refuses_channels_that_do_not_divide(channels, reduction):
    with pytest.raises(ValueError, match=rf"multiple of reduction.*{channels}.*{reduction}"):
        SqueezeExcite(channels, reduction)


@pytest.mark.parametrize("reduction", [0, -4])
def test_refuses_reductions_below_one(reduction):
    with pytest.raises(ValueError, match="reduction"):
        SqueezeExcite(16, reduction)
