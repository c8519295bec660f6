"""SAN against table 1 of Zhao, Jia & Koltun, CVPR 2020, and the parameter counts of its table 2."""

import pytest
import torch
from torch import nn

from regard.errors import InvalidInput
from regard.models.catalog import CATALOG, build
from regard.models.parts.footprint_attention import PairwiseAttention, PatchwiseAttention

PARAMETERS = {
    "san10_pairwise": (10_531_848, 10.53),
    "san15_pairwise": (14_065_436, 14.07),
    "san19_pairwise": (17_596_156, 17.60),
    "san10_patchwise": (11_841_124, 11.84),
    "san15_patchwise": (16_181_310, 16.18),
    "san19_patchwise": (20_518_470, 20.52),
}
LAYERS = {10: (2, 1, 2, 4, 1), 15: (3, 2, 3, 5, 2), 19: (3, 3, 4, 6, 3)}


def small(name, **options):
    torch.manual_seed(0)
    return build(name, num_classes=5, **{**CATALOG[name].small, **options}).eval()


@pytest.mark.parametrize(("name", "counts"), PARAMETERS.items())
def test_parameter_counts(name, counts):
    exact, millions = counts
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build(name).parameters())
    assert count == exact
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize("depth", LAYERS)
@pytest.mark.parametrize(
    ("name", "form"), [("pairwise", PairwiseAttention), ("patchwise", PatchwiseAttention)]
)
def test_stages(depth, name, form):
    """Table 1: the blocks of each stage, their channels and footprints; no convolution but 1x1 and no other
    attention.
    """
    with torch.device("meta"):
        network = build(f"san{depth}_{name}")
    found = [
        (m.query.in_channels, m.value.out_channels, m.inner, m.footprint)
        for m in network.modules()
        if isinstance(m, form)
    ]
    stages = zip((64, 256, 512, 1024, 2048), LAYERS[depth], (3, 7, 7, 7, 7), strict=True)
    assert found == [(c, c // 4, c // 16, k) for c, count, k in stages for _ in range(count)]
    assert all(m.kernel_size == (1, 1) for m in network.modules() if isinstance(m, nn.Conv2d))


def test_stages_halve_the_map():
    network = small("san10_pairwise")
    sizes = []
    for module in network.backbone.features:
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(lambda _module, _inputs, out: sizes.append(tuple(out.shape[2:])))
    with torch.inference_mode():
        features = network.feature_map(torch.randn(1, 3, 64, 97))
    assert sizes == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert features.shape == (1, 512, 2, 3)


def test_a_block_is_residual():
    """With its last linear layer at zero a block changes nothing; the stage is then pooling and 1x1
    convolution.
    """
    network = small("san10_patchwise")
    block = network.backbone.features[5]
    nn.init.zeros_(block.linear.weight)
    nn.init.zeros_(block.linear.bias)
    x = torch.randn(2, 16, 6, 5)
    assert torch.equal(block(x), x)
    nn.init.constant_(block.linear.bias, 0.5)
    assert torch.allclose(block(x), x + 0.5)


def test_takes_images_whose_last_map_is_smaller_than_the_footprint():
    network = small("san10_pairwise", footprints=(3, 7, 7, 7, 7))
    with torch.inference_mode():
        scores = network(torch.randn(2, 3, 32, 40))
    assert scores.shape == (2, 5)
    assert torch.isfinite(scores).all()


def test_refuses_images_that_pooling_would_use_up():
    with pytest.raises(ValueError, match="at least 32 x 32.*got 31 x 64"):
        small("san10_pairwise")(torch.zeros(1, 3, 31, 64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 24}, "width must be a multiple of 16, got 24"),
        ({"width": 0}, "width.*0"),
        ({"width": 16}, "multiple of share, got 16 / 4 and 8"),
        ({"footprints": (3, 7)}, "footprints must be 5 numbers.*got 2"),
        ({"footprints": (3, 7, 6, 7, 7)}, "footprint.*odd.*6"),
        ({"num_classes": 0}, "num_classes.*0"),
        ({"heads": 2}, "heads"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(InvalidInput, match=message), torch.device("meta"):
        build("san10_pairwise", **options)
