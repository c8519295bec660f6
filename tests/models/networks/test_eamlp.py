"""EAMLP against the authors' layers, written naively, and its parts."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.errors import InvalidInput
from regard.models.attention.external import TokenExternalAttention
from regard.models.catalog import CATALOG, build
from regard.models.explain.attention_maps import captured
from regard.models.networks.eamlp import TokenLayer, as_map, sinusoids, soft_split

SMALL = CATALOG["eamlp_7"].small


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = build("eamlp_7", num_classes=5, **SMALL).double().eval()
    for parameter in module.parameters():  # as if trained
        nn.init.normal_(parameter, std=0.2)
    return module


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def norm(module, x):
    mean = x.mean(dim=-1, keepdim=True)
    return (x - mean) / (
        (x - mean).square().mean(dim=-1, keepdim=True) + 1e-5
    ).sqrt() * module.weight + module.bias


def mlp(module, x):
    hidden = x @ module.fc1.weight.T + module.fc1.bias
    return (hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))) @ module.fc2.weight.T + module.fc2.bias


def twice(scores):
    """Scores (..., N, S)."""
    shares = scores.exp() / scores.exp().sum(dim=-2, keepdim=True)
    return shares / shares.sum(dim=-1, keepdim=True)


def token_layer(module, x):
    q = norm(module.norm1, x) @ module.query.weight.T + module.query.bias
    read = twice(q @ module.memory_key.weight.T) @ module.memory_value.weight.T + module.memory_value.bias
    z = q + read @ module.project.weight.T + module.project.bias
    return z + mlp(module.mlp, norm(module.norm2, z))


def external(module, x):
    heads = (x @ module.enter.weight.T + module.enter.bias).chunk(module.heads, dim=-1)
    key, value = module.memory_key, module.memory_value
    read = [twice(head @ key.weight.T + key.bias) @ value.weight.T + value.bias for head in heads]
    return torch.cat(read, dim=-1) @ module.project.weight.T + module.project.bias


def naive(network, x):
    for layer, (size, stride, padding) in (
        (network.token_layer1, (7, 4, 2)),
        (network.token_layer2, (3, 2, 1)),
    ):
        tokens = token_layer(layer, F.unfold(x, size, stride=stride, padding=padding).transpose(1, 2))
        side = math.isqrt(tokens.shape[1])
        x = tokens.transpose(1, 2).reshape(len(x), -1, side, side)
    windows = F.unfold(x, 3, stride=2, padding=1).transpose(1, 2)  # the third split and its linear map
    tokens = windows @ network.embed.weight.flatten(1).T + network.embed.bias
    z = torch.cat([network.cls_token.expand(len(x), -1, -1), tokens], dim=1) + network.positions
    for block in network.blocks:
        z = z + external(block.attn, norm(block.norm1, z))
        z = z + mlp(block.mlp, norm(block.norm2, z))
    return norm(network.norm, z[:, 0]) @ network.head.weight.T + network.head.bias


def test_equations(network, images):
    # the authors' 1e-9 beside the sum of shares
    assert torch.allclose(network(images), naive(network, images), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("size", "stride", "padding"), [(7, 4, 2), (3, 2, 1)])
@pytest.mark.parametrize("side", [32, 48])
def test_soft_split_is_unfold(size, stride, padding, side):
    x = torch.randn(2, 5, side, side + 16)
    expected = F.unfold(x, size, stride=stride, padding=padding).transpose(1, 2)
    assert torch.equal(soft_split(x, size=size, stride=stride, padding=padding), expected)


def test_tokens_return_to_their_places():
    x = torch.randn(2, 5, 4, 4)
    assert torch.equal(as_map(soft_split(x, size=1, stride=1, padding=0), 4), x)


def test_sinusoids():
    table = sinusoids(50, 6)[0]
    for position in (0, 1, 7, 49):
        for j in range(6):
            angle = position / 10000 ** (2 * (j // 2) / 6)
            assert math.isclose(
                table[position, j], math.sin(angle) if j % 2 == 0 else math.cos(angle), abs_tol=1e-6
            )


def counted(width, depth, heads, ratio):
    """Parameters by the authors' layer list."""

    def linear(inputs, outputs, bias=True):
        return inputs * outputs + bias * outputs

    def token(inputs):
        shared = linear(inputs, 64) + linear(64, 128, bias=False) + linear(128, 64) + linear(64, 64)
        return 2 * inputs + shared + 2 * 64 + 2 * linear(64, 64)

    head = width // heads
    attention = linear(width, 4 * width) + linear(head, 64) + linear(64, head) + linear(4 * width, width)
    block = 4 * width + attention + linear(width, ratio * width) + linear(ratio * width, width)
    return (
        token(147) + token(576) + linear(576, width) + width + depth * block + 2 * width + linear(width, 1000)
    )


@pytest.mark.parametrize(("name", "sizes"), [("eamlp_7", (256, 7, 4, 2)), ("eamlp_14", (384, 14, 6, 3))])
def test_parameter_counts(name, sizes):
    with torch.device("meta"):
        network = build(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == counted(*sizes)
    assert {module.heads for module in network.modules() if isinstance(module, TokenExternalAttention)} == {
        4 * sizes[2]
    }


def test_memories_of_a_token_layer_start_as_one():
    network = build("eamlp_7", **SMALL)
    layers = [module for module in network.modules() if isinstance(module, TokenLayer)]
    assert len(layers) == 2
    for layer in layers:
        assert torch.equal(layer.memory_key.weight, layer.memory_value.weight.T)


def test_shows_every_attention(network, images):
    with captured(network) as maps:
        network(images)
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    assert shapes == {
        "attention_token_layer1": (2, 64, 128),
        "attention_token_layer2": (2, 16, 128),
        "attention_blocks_0_attn": (2, 8, 5, 64),
        "attention_blocks_1_attn": (2, 8, 5, 64),
    }


@pytest.mark.parametrize("size", [(48, 48), (32, 48), (16, 16)])
def test_refuses_other_sizes(network, size):
    with pytest.raises(ValueError, match=rf"images of 32 x 32, got {size[0]} x {size[1]}; build it"):
        network(torch.zeros(1, 3, *size).double())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 100}, "image_size must be a multiple of 16, got 100"),
        ({"heads": 5}, "multiple of heads, got 256 and 5"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(InvalidInput, match=message):
        build("eamlp_7", **options)
