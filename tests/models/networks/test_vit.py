"""ViT: names, counts, the class token, positions, and timm's own."""

import math

import pytest
import torch
from torch import nn

from regard.errors import InvalidInput
from regard.models.catalog import CATALOG, build
from regard.models.explain.attention_maps import captured
from regard.models.foreign.library import import_library

PARAMETERS = {"vit_tiny": 5_717_416, "vit_small": 22_050_664, "vit_base": 86_567_656}
SMALL = CATALOG["vit_tiny"].small


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = build("vit_tiny", num_classes=5, **SMALL).double().eval()
    for parameter in module.parameters():  # as if trained
        nn.init.normal_(parameter, std=0.2)
    return module


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts(name, count):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build(name).parameters()) == count


def test_has_the_public_names_and_shapes():
    """Of the checkpoints of vit_tiny_patch16_224."""
    expected = {
        "cls_token": (1, 1, 192),
        "pos_embed": (1, 197, 192),
        "patch_embed.proj.weight": (192, 3, 16, 16),
    }
    expected |= {
        "patch_embed.proj.bias": (192,),
        "norm.weight": (192,),
        "norm.bias": (192,),
        "head.weight": (1000, 192),
        "head.bias": (1000,),
    }
    for i in range(12):
        for name, shape in {
            "attn.qkv": (576, 192),
            "attn.proj": (192, 192),
            "mlp.fc1": (768, 192),
            "mlp.fc2": (192, 768),
        }.items():
            expected |= {f"blocks.{i}.{name}.weight": shape, f"blocks.{i}.{name}.bias": shape[:1]}
        for name in ("norm1", "norm2"):
            expected |= {f"blocks.{i}.{name}.weight": (192,), f"blocks.{i}.{name}.bias": (192,)}
    with torch.device("meta"):
        assert {key: tuple(value.shape) for key, value in build("vit_tiny").state_dict().items()} == expected


def naive(network, image):
    """Logits of one image (3, S, S), by the paper's eqs. 1-4, head by head."""
    p, size, heads = network.state_dict(), SMALL["patch_size"], SMALL["heads"]
    tokens = [p["cls_token"][0, 0]]
    for i in range(0, image.shape[1], size):
        for j in range(0, image.shape[2], size):
            patch = image[:, i : i + size, j : j + size]
            tokens.append(
                (p["patch_embed.proj.weight"] * patch).sum(dim=(1, 2, 3)) + p["patch_embed.proj.bias"]
            )
    z = torch.stack(tokens) + p["pos_embed"][0]
    for block in range(SMALL["depth"]):
        q = {
            key.removeprefix(f"blocks.{block}."): value
            for key, value in p.items()
            if key.startswith(f"blocks.{block}.")
        }
        normal = standardize(z) * q["norm1.weight"] + q["norm1.bias"]
        query, key, value = (normal @ q["attn.qkv.weight"].T + q["attn.qkv.bias"]).chunk(3, dim=1)
        depth = query.shape[1] // heads
        parts = [slice(h * depth, (h + 1) * depth) for h in range(heads)]
        mixed = torch.cat(
            [((query[:, s] @ key[:, s].T) / math.sqrt(depth)).softmax(dim=1) @ value[:, s] for s in parts],
            dim=1,
        )
        z = z + mixed @ q["attn.proj.weight"].T + q["attn.proj.bias"]
        normal = standardize(z) * q["norm2.weight"] + q["norm2.bias"]
        hidden = normal @ q["mlp.fc1.weight"].T + q["mlp.fc1.bias"]
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        z = z + hidden @ q["mlp.fc2.weight"].T + q["mlp.fc2.bias"]
    last = standardize(z[0]) * p["norm.weight"] + p["norm.bias"]
    return p["head.weight"] @ last + p["head.bias"]


def standardize(z):
    mean = z.mean(dim=-1, keepdim=True)
    return (z - mean) / ((z - mean).square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


def test_equations(network, images):
    logits = network(images)
    for b in range(2):
        assert torch.allclose(logits[b], naive(network, images[b]), atol=1e-10, rtol=0)


def test_positions_are_what_tells_patches_apart(network, images):
    upside_down = images.view(2, 3, 4, 8, 32).flip(2).view(2, 3, 32, 32)  # rows of patches in reverse
    assert not torch.allclose(network(upside_down), network(images), atol=1e-4)
    nn.init.zeros_(network.pos_embed)
    assert torch.allclose(network(upside_down), network(images), atol=1e-10, rtol=0)


def test_shows_the_attention_of_every_block(network, images):
    with captured(network) as maps:
        network(images)
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        f"attention_blocks_{i}_attn": (2, 2, 17, 17) for i in range(2)
    }
    for weights in maps.values():
        assert torch.allclose(weights.sum(dim=3), torch.ones(2, 2, 17).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [(40, 40), (32, 40), (8, 8)])
def test_refuses_other_sizes(network, size):
    with pytest.raises(ValueError, match=rf"images of 32 x 32, got {size[0]} x {size[1]}; build it"):
        network(torch.zeros(1, 3, *size).double())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 100}, "image_size must be a multiple of patch_size, got 100 and 16"),
        ({"patch_size": 0}, "patch_size, got 224 and 0"),
        ({"heads": 5}, "multiple of heads, got 192 and 5"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"mlp_ratio": 0}, "at least 1 unit, got 0"),
        ({"patches": 3}, "patches"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(InvalidInput, match=message):
        build("vit_tiny", **options)


@pytest.fixture(scope="module")
def timm():
    try:
        return import_library("timm")
    except InvalidInput as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", PARAMETERS)
def test_equals_timms(timm, name):
    torch.manual_seed(0)
    reference = timm.create_model(f"{name}_patch16_224", depth=2, num_classes=7, img_size=48).eval()
    network = build(name, num_classes=7, depth=2, image_size=48).eval()
    network.load_state_dict(reference.state_dict())
    x = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        assert torch.allclose(network(x), reference(x), atol=1e-5, rtol=0)
