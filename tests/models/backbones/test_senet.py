"""SENet-154 and SE-ResNeXt: the published layers and parameter counts, and a block written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.models.attention.se import SqueezeExcite
from regard.models.backbones.senet import GroupedBottleneck, senet154
from regard.models.catalog import build


def meta(name):
    with torch.device("meta"):
        return build(name)


@pytest.fixture(scope="module")
def large():
    """SENet-154 without its numbers."""
    return meta("senet154")


def test_senet154_has_the_published_parameters(large):
    assert sum(p.numel() for p in large.parameters()) == 115_088_984


@pytest.mark.parametrize(("name", "count"), [("se_resnext50", 27_559_896), ("se_resnext101", 48_955_416)])
def test_se_resnext_has_the_published_parameters(name, count):
    assert sum(p.numel() for p in meta(name).parameters()) == count


def test_senet154_has_154_layers(large):
    """Convolutions and the linear layer, without gates and shortcuts: 3 + 50 blocks of 3 + 1."""
    counted = [
        name
        for name, module in large.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear)) and "attention" not in name and "downsample" not in name
    ]
    assert len(counted) == 154


def test_senet154_has_the_published_layers(large):
    blocks = list(large.backbone.blocks)
    stem = [m for m in large.backbone.stem if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size, m.stride) for m in stem] == [
        (64, (3, 3), (2, 2)),
        (64, (3, 3), (1, 1)),
        (128, (3, 3), (1, 1)),
    ]
    strided = blocks[3]
    assert (strided.conv1.out_channels, strided.conv1.stride) == (256, (1, 1))
    assert (strided.conv2.out_channels, strided.conv2.groups, strided.conv2.stride) == (512, 64, (2, 2))
    assert (strided.downsample[0].kernel_size, strided.downsample[0].stride) == ((3, 3), (2, 2))
    assert blocks[0].downsample[0].kernel_size == (1, 1)
    assert blocks[1].downsample is None
    assert [i for i, block in enumerate(blocks) if block.downsample is not None] == [0, 3, 11, 47]
    assert blocks[-1].attention.squeeze.weight.shape == (128, 2048, 1, 1)
    assert large.dropout.p == 0.2


def test_se_resnext_has_the_published_layers():
    network = meta("se_resnext50")
    strided = network.backbone.blocks[3]
    assert network.backbone.stem[0].kernel_size == (7, 7)
    assert (strided.conv2.out_channels, strided.conv2.groups, strided.conv2.stride) == (256, 32, (2, 2))
    assert strided.downsample[0].kernel_size == (1, 1)
    assert network.dropout.p == 0


def test_block():
    """relu(SE(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1 x)))))))) + shortcut(x)), the grouped convolution group
    by group.
    """
    torch.manual_seed(0)
    shortcut = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16))
    block = GroupedBottleneck(8, 4, spatial=16, groups=4, stride=2, shortcut=shortcut).double().eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    p = block.state_dict()

    def norm(x, name):
        x = (x - p[f"{name}.running_mean"][:, None, None]) / (
            p[f"{name}.running_var"][:, None, None] + 1e-5
        ).sqrt()
        return x * p[f"{name}.weight"][:, None, None] + p[f"{name}.bias"][:, None, None]

    x = torch.randn(2, 8, 7, 5, dtype=torch.float64)
    h = norm(F.conv2d(x, p["conv1.weight"]), "bn1").relu()  # (2, 8, 7, 5)
    groups = [
        F.conv2d(h[:, 2 * g : 2 * g + 2], p["conv2.weight"][4 * g : 4 * g + 4], stride=2, padding=1)
        for g in range(4)
    ]
    h = norm(torch.cat(groups, dim=1), "bn2").relu()
    h = norm(F.conv2d(h, p["conv3.weight"]), "bn3")
    z = h.mean(dim=(2, 3))
    gate = p["attention.squeeze.weight"][:, :, 0, 0], p["attention.excite.weight"][:, :, 0, 0]
    s = (
        (z @ gate[0].T + p["attention.squeeze.bias"]).relu() @ gate[1].T + p["attention.excite.bias"]
    ).sigmoid()
    skip = norm(F.conv2d(x, p["downsample.0.weight"], stride=2, padding=1), "downsample.1")
    expected = (h * s[:, :, None, None] + skip).relu()
    assert torch.allclose(block(x), expected, atol=1e-10, rtol=0)


def test_closed_gates_leave_the_shortcuts():
    network = build("se_resnext50", num_classes=3, width=4, groups=4).double().eval()
    for module in network.modules():
        if isinstance(module, SqueezeExcite):
            nn.init.constant_(module.excite.bias, -800.0)
    x = torch.randn(1, 16, 6, 6, dtype=torch.float64)
    assert torch.equal(network.backbone.blocks[1](x), x.relu())


@pytest.mark.parametrize("name", ["senet154", "se_resnext50"])
@pytest.mark.parametrize("size", [(3, 3), (33, 47)])
def test_sizes(name, size):
    network = build(name, num_classes=3, width=4, groups=4).eval()
    x = torch.zeros(1, 3, *size)
    stride4 = [-(-side // 2) // 2 for side in size]  # the pooling has no padding
    assert list(network.backbone.stem(x).shape[2:]) == stride4
    assert network(x).shape == (1, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 6}, "multiple of 4.*6"),
        ({"width": 0}, "multiple of 4.*0"),
        ({"groups": 3}, "groups must divide the 128.*3"),
        ({"groups": 0}, "groups.*0"),
        ({"counts": (1, 2, 3)}, r"four.*\(1, 2, 3\)"),
        ({"counts": (1, 2, 0, 1)}, r"at least 1.*\(1, 2, 0, 1\)"),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        senet154(**options)


def test_refuses_images_too_small_for_the_stem():
    with pytest.raises(ValueError, match=r"at least 3 x 3.*got 2 x 9"):
        build("senet154", width=4, groups=4, counts=(1, 1, 1, 1)).eval()(torch.zeros(1, 3, 2, 9))


def test_a_module_after_the_spatial_convolution_acts():
    """As the protocol of residual blocks says, for mechanisms with that placement."""
    block = GroupedBottleneck(16, 4, spatial=8, groups=4, stride=1, shortcut=None).eval()
    block.follow_spatial(nn.Tanh())
    x = torch.randn(2, 16, 5, 4)
    spatial = block.conv2(block.bn1(block.conv1(x)).relu()).tanh()
    residual = block.bn3(block.conv3(block.bn2(spatial).relu()))
    assert torch.equal(block(x), (block.attention(residual) + x).relu())
