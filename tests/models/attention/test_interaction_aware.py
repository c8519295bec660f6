"""Interaction-aware attention against its equations, for one feature map and for several; and the network
that trains it.
"""

import numpy as np
import pytest
import torch
from torch import nn

from regard.errors import InvalidInput
from regard.models.attention.interaction_aware import InteractionAware
from regard.models.catalog import build
from regard.models.losses.criterion import cross_entropy
from regard.models.losses.interaction import interaction_loss, scale_diversity_loss


def average(x, rows, columns):
    """Adaptive averaging of (C, H, W): cell i takes floor(i H / rows) to ceil((i + 1) H / rows)."""
    out = np.empty((len(x), rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * x.shape[1] // rows, -(-(i + 1) * x.shape[1] // rows)
            left, right = j * x.shape[2] // columns, -(-(j + 1) * x.shape[2] // columns)
            out[:, i, j] = x[:, top:bottom, left:right].mean(axis=(1, 2))
    return out


def naive_block(features, p):
    """One image: feature maps (C, H, W), the first one attended. Position by position, with X as
    (positions, channels).
    """
    rows, columns = features[0].shape[1:]
    fused = 0
    for layer, x in enumerate(features):
        flat = np.array([average(x, rows, columns)[:, i, j] for i in range(rows) for j in range(columns)])
        y = flat @ p[f"score.{layer}.weight"].T + p[f"score.{layer}.bias"]  # (positions, k)
        fused = fused + y / np.sqrt((y**2).sum(axis=0))
    a = fused / np.sqrt((fused**2).sum(axis=0))
    flat = features[0].reshape(len(features[0]), -1).T
    z = p["gamma"][0] * a @ (a.T @ flat) + flat
    return z.T.reshape(features[0].shape), a.T.reshape(-1, rows, columns)


@pytest.mark.parametrize(
    "shapes",
    [
        [(6, 3, 4)],
        [(6, 3, 4), (4, 6, 8)],
        [(6, 3, 2), (4, 7, 5), (2, 9, 9), (3, 3, 2)],
        [(6, 1, 2), (3, 1, 1)],
    ],
)
def test_equations_for_any_number_of_maps(randomized, arrays, draw, shapes):
    module = randomized(InteractionAware(6, 3, [shape[0] for shape in shapes[1:]]))
    features = [draw(2, *shape, seed=seed) for seed, shape in enumerate(shapes)]
    out, weights = module(*features).detach().numpy(), module.weights(*features).detach().numpy()
    for b in range(2):
        expected, maps = naive_block([feature[b].numpy() for feature in features], arrays(module))
        assert np.abs(out[b] - expected).max() < 1e-10
        assert np.abs(weights[b] - maps).max() < 1e-10


def test_maps_have_unit_length(randomized, draw):
    module = randomized(InteractionAware(8, 5, [4]))
    features = draw(2, 8, 3, 4), draw(2, 4, 6, 8)
    for maps in (*module.scales(*features), module.weights(*features).flatten(2)):
        assert torch.allclose(maps.square().sum(dim=2), torch.ones(2, 5, dtype=torch.float64), atol=1e-12)


def test_the_bias_absorbs_a_shift_of_the_mean(randomized, draw):
    """As PCA removes the mean: features moved by a vector, and b by -W of it, give the same maps; without b
    they do not.
    """
    module = randomized(InteractionAware(8, 3))
    x, shift = draw(2, 8, 3, 4), draw(8, seed=1)
    maps = module.weights(x)
    moved = module.weights(x + shift[:, None, None])
    assert not torch.allclose(moved, maps, atol=1e-2)
    score = module.score[0]
    score.bias.data -= score.weight.data[:, :, 0, 0] @ shift
    assert torch.allclose(module.weights(x + shift[:, None, None]), maps, atol=1e-12)


def test_each_map_is_found_from_all_its_layers(randomized, draw):
    module = randomized(InteractionAware(8, 3, [4, 2]))
    features = [draw(1, 8, 3, 4), draw(1, 4, 6, 8), draw(1, 2, 12, 16)]
    maps = module.weights(*features)
    for layer in range(3):
        changed = [
            feature + 1 * (layer == other) * draw(*feature.shape, seed=9)
            for other, feature in enumerate(features)
        ]
        assert not torch.allclose(module.weights(*changed), maps, atol=1e-3)


def test_orthonormal_maps_project(draw):
    """A A^T is then a projection: applied twice it changes nothing more."""
    module = InteractionAware(8, 3).double()
    nn.init.ones_(module.gamma)
    a = torch.linalg.qr(draw(12, 3)).Q.T.reshape(1, 3, 3, 4)
    x = draw(1, 8, 3, 4)
    projected = module.attend(x, a) - x
    assert torch.allclose(module.attend(projected, a) - projected, projected, atol=1e-12)


def test_starts_as_the_identity(draw):
    x = draw(2, 8, 5, 3)
    assert torch.equal(InteractionAware(8).double()(x), x)


def test_refuses_another_number_of_maps(draw):
    with pytest.raises(ValueError, match="built for 2 feature maps, got 1"):
        InteractionAware(8, others=[4]).double()(draw(1, 8, 3, 4))


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="positive.*0"):
        InteractionAware(8, components=0)
    with pytest.raises(ValueError, match="positive.*-1"):
        InteractionAware(8, others=[4, -1])


@pytest.mark.parametrize("scales", [2, 4])
def test_the_network_trains_on_all_three_losses(scales):
    torch.manual_seed(0)
    network = build(
        "interaction_pyramid_resnet18", num_classes=5, width=8, scales=scales, interaction=0.3, diversity=0.7
    )
    nn.init.ones_(network.attention.gamma)
    network.double().eval()
    x, targets = torch.randn(2, 3, 64, 64, dtype=torch.float64), torch.tensor([1, 3])
    *others, last = network.backbone.stages(x)[-scales:]
    expected = cross_entropy()(network(x), targets).item()
    expected += 0.3 * interaction_loss(network.attention.weights(last, *others), last).item()
    expected += 0.7 * scale_diversity_loss(network.attention.scales(last, *others)).item()
    # the criterion is float32
    assert abs(network.training_loss(x, targets, cross_entropy()).item() - expected) < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": 1}, "scales.*1"),
        ({"scales": 5}, "scales must be from 2 to 4, got 5"),
        ({"interaction": -1.0}, "interaction=-1"),
        ({"diversity": float("nan")}, "nan"),
    ],
)
def test_the_network_refuses_bad_arguments(options, message):
    with pytest.raises(InvalidInput, match=message):
        build("interaction_pyramid_resnet18", **options)
