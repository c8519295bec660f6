"""The mask activations against Wang et al., CVPR 2017, eqs. 4-6."""

import math

import numpy as np
import pytest
import torch

from regard.models.parts.residual_masks import EPSILON, MASKS, ChannelMask, MixedMask, SpatialMask


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def naive_mixed(x):
    return np.vectorize(sigmoid)(x)


def naive_channel(x):
    out = np.empty_like(x)
    for _, i, j in np.ndindex(1, *x.shape[1:]):
        out[:, i, j] = x[:, i, j] / math.sqrt(sum(float(v) ** 2 for v in x[:, i, j]))
    return out


def naive_spatial(x):
    out = np.empty_like(x)
    for c, plane in enumerate(x):
        mean = sum(map(float, plane.flat)) / plane.size
        deviation = math.sqrt(sum((float(v) - mean) ** 2 for v in plane.flat) / plane.size + EPSILON)
        out[c] = np.vectorize(sigmoid)((plane - mean) / deviation)
    return out


@pytest.mark.parametrize(
    ("name", "naive"), [("mixed", naive_mixed), ("channel", naive_channel), ("spatial", naive_spatial)]
)
@pytest.mark.parametrize("size", [(5, 4), (1, 3)])
def test_equations(draw, name, naive, size):
    x = 3 * draw(2, 6, *size) + 1
    mask = MASKS[name]()(x)
    for b in range(2):
        assert np.abs(mask[b].numpy() - naive(x[b].numpy())).max() < 1e-12


def test_channel_mask_has_unit_norm_at_each_position(draw):
    assert torch.allclose(
        ChannelMask()(5 * draw(2, 6, 4, 3)).norm(dim=1), torch.ones(2, 4, 3, dtype=torch.float64), atol=1e-12
    )


def test_channel_mask_of_nothing_is_nothing():
    x = torch.zeros(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    mask = ChannelMask()(x)
    mask.sum().backward()
    assert torch.equal(mask, torch.zeros_like(mask))
    assert torch.isfinite(x.grad).all()


def test_spatial_mask_is_centred_at_a_half(draw):
    """Before the sigmoid each channel has mean 0 and deviation 1, whatever its own were; so each has some
    positions above 1/2.
    """
    x = draw(2, 6, 8, 8) * torch.logspace(-1, 2, 6, dtype=torch.float64)[:, None, None] + 7
    mask = SpatialMask()(x)
    standardized = mask.logit()
    assert standardized.mean(dim=(2, 3)).abs().max() < 1e-9
    assert (standardized.std(dim=(2, 3), correction=0) - 1).abs().max() < 1e-2
    assert ((mask.mean(dim=(2, 3)) - 0.5).abs() < 0.05).all()


def test_spatial_mask_of_a_constant_map_is_a_half():
    assert torch.equal(SpatialMask()(torch.full((1, 3, 4, 5), 7.0)), torch.full((1, 3, 4, 5), 0.5))


def test_what_each_mask_forgets(draw):
    """The channel mask forgets the scale of a position, the spatial mask shift and scale of a channel; the
    mixed mask forgets nothing.
    """
    x = draw(1, 6, 4, 4)
    per_position = draw(1, 1, 4, 4, seed=1).abs() + 0.5
    per_channel = draw(1, 6, 1, 1, seed=2).abs() + 0.5
    assert torch.allclose(ChannelMask()(x * per_position), ChannelMask()(x), atol=1e-12)
    assert not torch.allclose(ChannelMask()(x * per_channel), ChannelMask()(x), atol=1e-2)
    assert torch.allclose(SpatialMask()(x * per_channel + per_channel), SpatialMask()(x), atol=1e-4)
    assert not torch.allclose(SpatialMask()(x * per_position), SpatialMask()(x), atol=1e-2)
    assert not torch.allclose(MixedMask()(x * per_channel), MixedMask()(x), atol=1e-2)
    assert not torch.allclose(MixedMask()(x * per_position), MixedMask()(x), atol=1e-2)
