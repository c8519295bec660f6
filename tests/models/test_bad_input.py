"""Bad input, over the whole catalog: refused where it enters by an error that names the value and the rule,
or answered rightly.
"""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from regard.errors import InvalidInput, InvalidWeights, UnknownName
from regard.models.attention import ATTENTION, find_attention
from regard.models.attention.augmented_conv import AugmentedConv
from regard.models.attention.bam import BAM
from regard.models.attention.cbam import SpatialGate
from regard.models.attention.generalized import GeneralizedAttention
from regard.models.attention.non_local import Concatenation, DotProduct, EmbeddedGaussian, Gaussian, NonLocal
from regard.models.catalog import CATALOG, build, options
from regard.models.checkpoint import load_weights, read_state_dict, save_weights
from regard.models.convert.namings import naming_of
from regard.models.convert.rules import rename
from regard.models.families import ENTRIES
from regard.models.heads.psp import PSPHead
from regard.models.load import resolve

CLASSES = 5


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# channels that do not divide

DIVISORS = {  # of the channels a mechanism is listed for; the others take any number
    **dict.fromkeys(("se", "cbam", "cgnl", "cgnlx"), 16),
    **dict.fromkeys(("local", "pam", "cca", "multi_head", "external_multi_head"), 8),
    **{name: 8 for name in ATTENTION if name.startswith("generalized_attention")},
    **{name: 2 for name in ATTENTION if name.startswith("nonlocal")},
    **dict.fromkeys(("gc", "object_context"), 2),
    "aa_conv": 12,  # of those tried here: it takes 8 and more, one for each head
}
BLIND = ("chan_am", "simam")  # to the number of channels


@pytest.mark.parametrize("channels", [-16, 0, 1, 5, 12, 24])
@pytest.mark.parametrize("name", [name for name in ATTENTION if name not in BLIND])
def test_channels_divide_or_are_refused(name: str, channels: int) -> None:
    if channels < 1 or channels % DIVISORS.get(name, 1):
        with pytest.raises(ValueError, match=rf"(channels|width)[a-z ]* must .*got \[?{channels}(?!\d)"):
            ATTENTION[name].build(channels)
    else:
        x = images(1, channels, 3, 2)
        answer = ATTENTION[name].build(channels).eval()(x)
        assert answer.shape == x.shape
        assert torch.isfinite(answer).all()


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (
            lambda: PSPHead(8, 4, bins=(1, 2, 3)),
            r"their number must divide channels, got \(1, 2, 3\) for 8 channels",
        ),
        (lambda: SpatialGate(-1), "kernel_size must be odd and at least 1.*got -1"),
        (lambda: BAM(0), "channels must be at least 1, got 0"),
        (lambda: find_attention(5), "attention must be a name, a Mechanism or None, got 5"),
    ],
)
def test_modules_refuse(construct: Callable[[], object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        construct()


# maps smaller than what runs over them


@pytest.mark.parametrize("form", [Gaussian, EmbeddedGaussian, DotProduct, Concatenation])
def test_non_local_keys_are_pooled_from_maps_that_have_as_many_positions(form: type[NonLocal]) -> None:
    block = form(4, subsample=3).eval()
    for size in [(3, 3), (4, 7)]:
        assert block.weights(images(1, 4, *size)).shape == (
            1,
            size[0] * size[1],
            (size[0] // 3) * (size[1] // 3),
        )
        assert block(images(1, 4, *size)).shape == (1, 4, *size)
    with pytest.raises(ValueError, match="at least subsample = 3 on each side, got 2 x 5"):
        block(images(1, 4, 2, 5))


@pytest.mark.parametrize("terms", ["1111", "0010"])
def test_a_stride_beyond_the_map_leaves_one_key(terms: str) -> None:
    attention = GeneralizedAttention(8, terms, stride=4).eval()
    nn.init.ones_(attention.gamma)
    x = images(1, 8, 3, 2)
    assert torch.equal(attention.weights(x), torch.ones(1, 8, 1 if terms == "0010" else 6, 1))
    value = attention.project(attention.value(x[:, :, :1, :1]))
    assert torch.allclose(attention(x), x + value, atol=1e-6)


# the catalog: options

DEEPER = ("34", "50", "101", "92", "vit_small", "vit_base", "eamlp_14")
KEPT = ("se_resnext50",)  # the shallowest of its kind
LISTED = [
    name
    for name in CATALOG
    if name in KEPT or not (name.endswith(DEEPER) or name.startswith(("san15", "san19")))
]


@pytest.mark.parametrize("name", LISTED)
def test_unknown_options_are_named(name: str) -> None:
    known = ", ".join(sorted(options(name)))
    with pytest.raises(UnknownName, match=rf"^no option of {name} named 'widht'\..* Known: {known}\.$"):
        build(name, **CATALOG[name].small, widht=8)


@pytest.mark.parametrize("name", [name for name in LISTED if "classes" in options(name)])
def test_a_network_without_classes_is_refused(name: str) -> None:
    with pytest.raises(
        InvalidInput, match=rf"^{name} cannot be built with .*: num_classes must be at least 1, got 0$"
    ):
        build(name, **{**CATALOG[name].small, "num_classes": 0})


@pytest.mark.parametrize("name", ["se_resnet18", "pam_resnet18"])
@pytest.mark.parametrize("attention", ["cca", None])
def test_the_attention_of_a_name_stays(name: str, attention: str | None) -> None:
    mechanism = name.removesuffix("_resnet18")
    with pytest.raises(
        InvalidInput,
        match=f"^{name} cannot be built with .*: its attention is '{mechanism}', as its name says; resnet18 ",
    ):
        build(name, attention=attention)
    with torch.device("meta"):
        build(name, attention=mechanism)


VGG = {"backbone": "vgg16", "width": 2}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("resnet18", {"attention": 5}, r"attention must be str \| Mechanism \| None, got 5"),
        ("resnet18", {"classes": "ten"}, "classes must be int, got 'ten'"),
        ("resnet18", {"width": 16.5}, "width must be int, got 16.5"),
        ("senet154", {"counts": [3, 8]}, r"counts must be tuple\[int, int, int, int\], got \[3, 8\]"),
        ("two_level", {"boxes": [0.5]}, r"boxes must be Sequence\[Sequence\[float\]\], got \[0.5\]"),
        ("vit_tiny", {"width": 0}, "width must be at least 1, got 0"),
        ("vit_tiny", {"width": -192}, "width must be at least 1, got -192"),
        ("eamlp_7", {"width": -4}, "width must be at least 1, got -4"),
        ("eamlp_7", {"token_width": 0}, "token_width must be at least 1, got 0"),
        ("macnn", {**VGG, "part_resolution": 15}, "part_resolution must be at least 16 for a VGG, got 15"),
        ("mgd", {**VGG, "region_size": 15}, "region_size must be at least 16 for a VGG, got 15"),
        (
            "mgd",
            {"backbone": "resnet18", "region_size": 0},
            "region_size must be at least 1 for a ResNet, got 0",
        ),
        ("two_level", {**VGG, "patch_size": 15}, "patch_size must be at least 16 for a VGG, got 15"),
        ("two_level", {"alpha": float("nan")}, "alpha must be above 0, got nan"),
        (
            "gain_resnet18",
            {"mining_weight": float("nan")},
            "mining_weight and mask_weight must be 0 or more, got nan and 10.0",
        ),
        ("gain_resnet18", {"sharpness": float("nan")}, "sharpness must be positive, got nan"),
        ("dvan", {"diversity": -1.0}, "diversity must be 0 or more, got -1.0"),
        ("racnn", {"guide": float("nan")}, "guide must be 0 or more, got nan"),
    ],
)
def test_options_are_refused(name: str, given: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{name} cannot be built with .*: .*{message}$"):
        build(name, **given)


# the catalog: sizes of images, and checkpoints

LEAST = {  # side of the smallest images that a small network takes; the others take one pixel
    **{name: 32 for name in CATALOG if name.startswith("san")},
    **{name: 31 for name in CATALOG if name.startswith("attention")},
    **{name: 3 for name in CATALOG if name.startswith("se_resnext")},
    "senet154": 3,
    "fcan": 32,
    "macnn": 24,  # its parts
}
RULES = {"fcan": 2}  # what the refusal names instead: the window, in positions of the feature map


@pytest.fixture(scope="module", params=[name for name in LISTED if name not in ENTRIES])
def network(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    return request.param, build(request.param, num_classes=CLASSES, **CATALOG[request.param].small).eval()


def test_images_of_any_size_are_answered_or_refused(network: tuple[str, nn.Module]) -> None:
    """Odd and tiny ones are answered; below its least side, and beside the one size it was built for, a
    network says which it takes.
    """
    name, module = network
    entry, least = CATALOG[name], LEAST.get(name, 1)
    taken, refused = (
        [(least, least + 8), (least + 2, least)],
        [(least - 1, 64), (64, least - 1)] if least > 1 else [],
    )
    if entry.fixed_size:
        least = entry.small_size
        taken, refused = (
            [(least, least)],
            [(least, least + 1), (least - 1, least), (2 * least, 2 * least), (1, 1)],
        )
    with torch.inference_mode():
        for size in taken:
            scores = module(images(1, 3, *size))
            assert scores.shape == ((1, CLASSES) if entry.task == "classification" else (1, CLASSES, *size))
            assert torch.isfinite(scores).all()
        for height, width in refused:
            with pytest.raises(ValueError, match=r"least|more|smaller|built for|takes") as caught:
                module(images(1, 3, height, width))
            assert {str(number) for number in (RULES.get(name, least), height, width)} <= set(
                re.findall(r"\d+", str(caught.value))
            )


def test_a_checkpoint_for_other_classes_is_refused(network: tuple[str, nn.Module]) -> None:
    name, module = network
    other = build(name, num_classes=CLASSES + 2, **CATALOG[name].small)
    with pytest.raises(
        InvalidWeights,
        match=rf"^w does not fit {type(module).__name__}: .*is \({CLASSES}, .*, \({CLASSES + 2}, ",
    ):
        load_weights(other, module.state_dict(), source="w")


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (
            lambda size: build("vit_tiny", **CATALOG["vit_tiny"].small | {"image_size": size}),
            r"pos_embed is \(1, 65, 32\).*\(1, 257, 32\)",
        ),
        (
            lambda size: build("eamlp_7", **CATALOG["eamlp_7"].small | {"image_size": size}),
            r"positions is \(1, 17, 32\).*\(1, 65, 32\)",
        ),
        (
            lambda size: build("racnn", **VGG, image_size=size),
            r"proposals.0.fc1.weight is \(1024, 64\).*\(1024, 256\)",
        ),
        (lambda size: AugmentedConv(16, max_size=size), r"row_offsets is \(127, 20\).*\(255, 20\)"),
    ],
)
def test_what_was_learned_for_one_size_is_not_loaded_for_another(
    construct: Callable[[int], nn.Module], message: str, tmp_path: Path
) -> None:
    save_weights(construct(64), tmp_path / "w.safetensors")
    state = read_state_dict(tmp_path / "w.safetensors")
    load_weights(construct(64), state, source="w")
    with pytest.raises(InvalidWeights, match=message):
        load_weights(construct(128), state, source="w")


@pytest.mark.parametrize("head", ["danet", "ccnet"])
def test_a_converted_scale_of_another_shape_is_refused(head: str) -> None:
    """mmsegmentation's scalars become vectors of one; what is neither is no such checkpoint."""
    module = build(f"{head}_resnet18", num_classes=CLASSES, width=16)
    key = {"danet": "decode_head.pam.gamma.scale", "ccnet": "decode_head.cca.gamma.scale"}[head]
    with pytest.raises(InvalidWeights, match=rf"shapes differ: {key} is \(2,\), head\..* is \(1,\)"):
        rename({key: torch.ones(2)}, module.state_dict(), naming_of("mmseg", module))


# other libraries


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smp:Unet?encoder=18&classes=3", "no smp encoder .*'18'"),  # JSON makes a number of it
        ("smp:Unet?encoder=null&classes=3", "no smp encoder .*'None'"),
        ("torchvision:resnet18?classes=0", "classes must be at least 1, got 0"),
        ("torchvision:resnet18?classes=-1", "torchvision cannot build resnet18 with {'num_classes': -1}"),
        ("timm:test_vit?img_size=30", "test_vit.*does not take images of 30 x 30: .*divisible by patch size"),
        ("timm:test_vit?embed_dim=0", "timm cannot build test_vit with {'embed_dim': 0}"),
        (
            "timm:test_resnet?drop_rate=7",
            "test_resnet.*does not take images of 160 x 160: .*between 0 and 1, but got 7",
        ),
    ],
)
def test_what_other_libraries_trip_over_is_refused(name: str, message: str) -> None:
    if any(find_spec(module) is None for module in ("timm", "torchvision", "segmentation_models_pytorch")):
        pytest.skip("networks of other libraries; pip install 'regard[foreign]'")
    with pytest.raises(InvalidInput, match=message):
        resolve(name, weights="random")
