"""The STN classifier: a ResNet of the warped image."""

import pytest
import torch
from torch import nn

from regard.errors import InvalidInput
from regard.models.attention.spatial_transformer import TRANSFORMATIONS, SpatialTransformer
from regard.models.backbones.resnet import DEPTHS
from regard.models.catalog import CATALOG, build


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_untrained_it_is_its_classifier(name):
    network = build(f"stn_{name}", num_classes=5, width=8, stem="small").double().eval()
    x = images(2, 3, 33, 33)  # where the identity is exact
    assert torch.equal(network(x), network.classifier(x))


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_it_classifies_the_warped_image(name):
    network = build(f"stn_{name}", num_classes=5, width=8, stem="small").double().eval()
    nn.init.normal_(network.transformer.regression.weight, std=0.3)
    x = images(2, 3, 28, 28)
    warped = network.transformer(x)
    assert (warped - x).abs().max() > 0.1
    assert torch.equal(network(x), network.classifier(warped))
    assert not torch.allclose(network(x), network.classifier(x))


def test_a_quarter_turn_undone():
    """With theta a quarter turn, the turned image is classified as the upright one."""
    network = build("stn_affine", num_classes=5, width=8, stem="small").double().eval()
    x = images(1, 3, 33, 33)
    upright = network(x)
    with torch.no_grad():
        # of (0, -1, 0, 1, 0, 0) from the identity
        network.transformer.regression.bias.copy_(torch.tensor([-1.0, -1, 0, 1, -1, 0]))
    assert torch.equal(network(torch.rot90(x, -1, dims=(2, 3))), upright)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_the_catalog_names_its_transformation(name):
    with torch.device("meta"):
        network = build(f"stn_{name}", width=8)
    transformers = [module for module in network.modules() if isinstance(module, SpatialTransformer)]
    assert [type(module.transformation) for module in transformers] == [TRANSFORMATIONS[name]]


@pytest.mark.parametrize("depth", DEPTHS)
def test_depth_is_the_resnets(depth):
    with torch.device("meta"):
        network = build("stn_affine", depth=depth, width=8)
        plain = build(f"resnet{depth}", width=8)
    assert network.classifier.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize(
    "options", [{"depth": 19}, {"localisation_width": 0}, {"num_classes": 0}, {"attention": "sse"}]
)
def test_refuses_bad_options(options):
    with pytest.raises(InvalidInput, match=str(next(iter(options.values())))):
        build("stn_affine", **options)


def test_suits_fashion_mnist():
    entry = CATALOG["stn_affine"]
    network = build("stn_affine", num_classes=10, stem="small", **entry.small).eval()
    assert network(torch.zeros(2, 3, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in network.parameters()) < 1e6
