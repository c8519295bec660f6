"""Residual Attention Network: the published layers and parameter counts, and eq. 3 with the mask branch
written out.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.errors import InvalidInput
from regard.models.backbones.residual_attention import (
    AttentionModule,
    PreActivatedUnit,
    ResidualAttentionNetwork,
    SoftMask,
)
from regard.models.catalog import build
from regard.models.parts.residual_masks import MASKS


def randomize(module):
    """Float64, evaluation, and statistics drawn at random."""
    torch.manual_seed(5)
    for each in module.double().eval().modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.normal_(each.running_mean, std=0.3)
            nn.init.uniform_(each.running_var, 0.5, 2)
            nn.init.uniform_(each.weight, 0.5, 1)
            nn.init.normal_(each.bias, std=0.3)
    return module


def maps(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("name", "count"), [("attention56", 31_810_728), ("attention92", 52_466_344)])
def test_parameter_counts(name, count):
    with torch.device("meta"):
        network = build(name)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("mask", MASKS)
def test_every_mask_has_the_same_parameters(mask):
    with torch.device("meta"):
        network = build("attention56", width=4, mask=mask)
        plain = build("attention56", width=4)
    assert network.state_dict().keys() == plain.state_dict().keys()


def test_depth_of_the_trunk():
    """The names count convolutions and the linear layer, without those of masks and shortcuts."""
    for name, depth in (("attention56", 56), ("attention92", 92)):
        with torch.device("meta"):
            network = build(name, width=4)
        layers = [
            path
            for path, module in network.named_modules()
            if isinstance(module, (nn.Conv2d, nn.Linear)) and "mask" not in path and "shortcut" not in path
        ]
        assert len(layers) == depth


def corners_on_corners(x, size):
    """Bilinear interpolation of (B, C, h, w) by loops: output i reads at i (h - 1) / (H - 1)."""
    for axis, length in ((2, size[0]), (3, size[1])):
        old = x.shape[axis]
        slices = []
        for i in range(length):
            position = i * (old - 1) / (length - 1) if length > 1 else 0.0
            low = min(int(position), old - 1)
            high, part = min(low + 1, old - 1), position - low
            slices.append((1 - part) * x.select(axis, low) + part * x.select(axis, high))
        x = torch.stack(slices, dim=axis)
    return x


def pool(x):
    """Largest of each 3x3 window at every second position, cut at the border; a window starts inside."""
    rows, columns = (range(0, size - 1, 2) for size in x.shape[2:])
    return torch.stack(
        [
            torch.stack([x[:, :, i : i + 3, j : j + 3].amax(dim=(2, 3)) for j in columns], dim=-1)
            for i in rows
        ],
        dim=-2,
    )


def naive_unit(x, p, name):
    """Pre-activated bottleneck from its state dict."""

    def active(x, norm):
        x = F.batch_norm(
            x, *(p[f"{name}.{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        )
        return x.relu()

    a = active(x, "activate.0")
    h = active(F.conv2d(a, p[f"{name}.residual.0.weight"]), "residual.1")
    h = active(F.conv2d(h, p[f"{name}.residual.3.weight"], padding=1), "residual.4")
    return x + F.conv2d(h, p[f"{name}.residual.6.weight"])


def naive_mask_input(x, p):
    """Three levels as the authors' network lists them: down, down, down, two units at the bottom, and up over
    two skips.
    """
    top = naive_unit(pool(x), p, "hourglass.down")
    middle = naive_unit(pool(top), p, "hourglass.below.hourglass.down")
    bottom = naive_unit(pool(middle), p, "hourglass.below.hourglass.below.hourglass.down")
    bottom = naive_unit(bottom, p, "hourglass.below.hourglass.below.hourglass.up")
    middle = naive_unit(middle, p, "hourglass.below.hourglass.below.skip") + corners_on_corners(
        bottom, middle.shape[2:]
    )
    middle = naive_unit(middle, p, "hourglass.below.hourglass.up")
    top = naive_unit(top, p, "hourglass.below.skip") + corners_on_corners(middle, top.shape[2:])
    top = naive_unit(top, p, "hourglass.up")
    return corners_on_corners(top, x.shape[2:])


@pytest.mark.parametrize("size", [(8, 8), (11, 9), (13, 16)])
def test_soft_mask_branch(size):
    mask = randomize(SoftMask(8, 3, "mixed"))
    x = maps(2, 8, *size)
    expected = mask.linear(naive_mask_input(x, mask.state_dict())).sigmoid()
    assert torch.allclose(mask.weights(x), expected, atol=1e-10, rtol=0)
    trunk = maps(2, 8, *size) + 1
    assert torch.allclose(mask(x, trunk), trunk * expected + trunk, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("activation", "low", "high"), [("mixed", 0, 1), ("channel", -1, 1), ("spatial", 0, 1)]
)
def test_the_activation_is_the_one_asked_for(activation, low, high):
    mask = randomize(SoftMask(8, 1, activation))
    x = maps(2, 8, 6, 7)
    before = mask.linear(F.interpolate(mask.hourglass(x), size=(6, 7), mode="bilinear", align_corners=True))
    weights = mask.weights(x)
    assert torch.equal(weights, MASKS[activation]()(before))
    assert weights.min() >= low
    assert weights.max() <= high


@pytest.mark.parametrize(("value", "factor"), [(0.0, 1), (1.0, 2)])
def test_mask_of_zeros_keeps_the_trunk_and_of_ones_doubles_it(value, factor):
    class Constant(nn.Module):
        def forward(self, x):
            return torch.full_like(x, value)

    module = randomize(AttentionModule(8, 2, "mixed"))
    module.mask.activation = Constant()
    x = maps(2, 8, 8, 8)
    before = module.before(x)
    assert torch.equal(module(x), module.after(factor * module.trunk(before)))


def test_trunk_and_mask_read_the_same_features():
    module = randomize(AttentionModule(8, 1, "mixed"))
    x = maps(1, 8, 6, 5)
    before = module.before(x)
    expected = module.after((1 + module.mask.weights(before)) * module.trunk(before))
    assert torch.equal(module(x), expected)


def test_unit_changes_shape_on_activated_features():
    """Where the shape changes the shortcut is a convolution of relu(BN(x)); else it is x itself."""
    unit = randomize(PreActivatedUnit(4, 8, stride=2))
    nn.init.zeros_(unit.residual[-1].weight)
    x = maps(2, 4, 7, 6)
    assert torch.equal(unit(x), unit.shortcut(unit.activate(x)))
    assert unit(x).shape == (2, 8, 4, 3)
    same = randomize(PreActivatedUnit(8, 8))
    nn.init.zeros_(same.residual[-1].weight)
    x = maps(2, 8, 3, 3)
    assert torch.equal(same(x), x)


def test_modules_and_levels_of_attention92():
    with torch.device("meta"):
        network = build("attention92", width=4)
    modules = [module for module in network.backbone.units if isinstance(module, AttentionModule)]
    levels = [sum(isinstance(m, nn.MaxPool2d) for m in module.modules()) for module in modules]
    assert levels == [3, 2, 2, 1, 1, 1]
    assert [module.mask.linear[0].num_features for module in modules] == [16, 32, 32, 64, 64, 64]


@pytest.mark.parametrize(
    ("stem", "size"),
    [
        ("imagenet", (31, 31)),
        ("imagenet", (45, 70)),
        ("small", (8, 8)),
        ("small", (28, 28)),
        ("small", (9, 13)),
    ],
)
def test_sizes(stem, size):
    network = build("attention92", num_classes=3, width=4, stem=stem).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, *size)).shape == (1, 3)


@pytest.mark.parametrize(("stem", "size", "least"), [("imagenet", (30, 64), 31), ("small", (28, 7), 8)])
def test_refuses_images_too_small_for_the_masks(stem, size, least):
    network = build("attention56", width=4, stem=stem).eval()
    with pytest.raises(ValueError, match=rf"at least {least} x {least}.*got {size[0]} x {size[1]}"):
        network(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "soft"}, "mask.*channel.*mixed.*spatial.*'soft'"),
        ({"stem": "tiny"}, "stem.*'tiny'"),
        ({"width": 0}, "width.*0"),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        ResidualAttentionNetwork((1, 1, 1), **options)
    with pytest.raises(InvalidInput, match=message):
        build("attention56", **options)
