"""The catalog: names, what it says of each network, and its errors."""

import re

import pytest
import torch

from regard.contract.card import NAME_PATTERN
from regard.errors import InvalidInput, UnknownName
from regard.models.attention import ATTENTION, find_attention
from regard.models.backbones.resnet import DEPTHS
from regard.models.catalog import CATALOG, build, find


@pytest.mark.parametrize("name", CATALOG)
def test_entry_is_complete(name: str) -> None:
    entry = find(name)
    assert entry is CATALOG[name]
    assert re.match(NAME_PATTERN, name)
    assert entry.task in ("classification", "segmentation")
    assert len(entry.paper) > 10
    assert 2014 <= entry.year <= 2030


@pytest.mark.parametrize("name", CATALOG)
def test_builds_at_full_size(name: str) -> None:
    """The defaults are the paper's: 64 channels in ResNet's first stage, and a plausible number of
    parameters.
    """
    with torch.device("meta"):
        network = build(name)
    assert network.training
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert 1e6 < parameters < 200e6
    classes = 1000 if CATALOG[name].task == "classification" else 19
    assert any(parameter.shape[0] == classes for parameter in network.parameters() if parameter.ndim)


def test_holds_what_was_promised() -> None:
    mechanisms = [
        "saliency",
        "external_attention",
        "external_multi_head",
        "simam",
        "self_attention",
        "multi_head",
    ]
    mechanisms += ["se", "cbam", "bam", "stn"]
    mechanisms += [
        "cgnl",
        "cgnlx",
        "interaction_aware",
        "pam",
        "chan_am",
        "object_context",
        "cca",
        "snl",
        "gc",
        "aa_conv",
        "local",
    ]
    mechanisms += [f"nonlocal_{form}" for form in ("gaussian", "embedded_gaussian", "dot", "concat")]
    mechanisms += [f"generalized_attention_{terms}" for terms in ("1111", "1000", "0100", "0010", "0001")]
    heads = [
        "fcn",
        "pspnet",
        "deeplabv3",
        "nonlocal",
        "danet",
        "base_oc",
        "pyramid_oc",
        "asp_oc",
        "ccnet",
        "gcnet",
        "eanet",
        "pan",
    ]
    expected = {f"{prefix}_resnet{depth}" for prefix in (*mechanisms, *heads) for depth in DEPTHS}
    expected |= (
        {f"resnet{depth}" for depth in DEPTHS} | {"mobilenet_v2"} | {f"{head}_mobilenet_v2" for head in heads}
    )
    expected |= {f"san{depth}_{form}" for depth in (10, 15, 19) for form in ("pairwise", "patchwise")}
    expected |= {f"stn_{warp}" for warp in ("affine", "attention", "projective", "tps")}
    expected |= {f"mil_{pooling}_resnet18" for pooling in ("max", "noisy_or", "attention")}
    expected |= {
        "senet154",
        "attention56",
        "attention92",
        "vit_base",
        "eamlp_7",
        "gain_resnet18",
        "acol_resnet18",
    }
    expected |= {"two_level", "racnn", "macnn", "mgd", "fcan", "dvan"}
    assert expected <= CATALOG.keys()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_really_there(name: str, depth: int) -> None:
    with torch.device("meta"):
        kind = type(ATTENTION[name].build(32))
        assert any(type(module) is kind for module in build(f"{name}_resnet{depth}").modules())


def test_unknown_network_suggests_neighbours() -> None:
    with pytest.raises(
        UnknownName, match=r"no network named 'se_resnet5'\. Did you mean .*'se_resnet50'.*Known: .*resnet18"
    ):
        build("se_resnet5")


def test_unknown_attention_suggests_neighbours() -> None:
    with pytest.raises(
        UnknownName, match=r"no attention named 'sse'\. Did you mean .*'se'.*Known: .*cbam, cca, "
    ):
        find_attention("sse")
    with pytest.raises(UnknownName, match="no attention named 'sse'"):
        build("resnet18", attention="sse")


@pytest.mark.parametrize("name", ["", "   ", "resnet18 ", "RESNET18", "../x"])
def test_names_are_exact(name: str) -> None:
    with pytest.raises(UnknownName, match="no network named"):
        find(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("se_resnet18", {"widht": 16}, "widht"),
        ("se_resnet18", {"width": 8}, "multiple of reduction"),
        ("resnet18", {"output_stride": 5}, "output_stride must be 8, 16 or 32, got 5"),
        ("resnet18", {"stem": "x"}, "stem must be"),
        ("resnet18", {"num_classes": "ten"}, "num_classes|int"),
        ("mobilenet_v2", {"width": 16}, "width"),
        ("fcn_resnet18", {"recurrence": 2}, "recurrence"),
    ],
)
def test_refuses_options(name: str, options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{name} cannot be built with .*({message})"):
        build(name, **options)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "ccnet_mobilenet_v2"])
@pytest.mark.parametrize("num_classes", [0, -1])
def test_refuses_to_have_no_classes(name: str, num_classes: int) -> None:
    with pytest.raises(InvalidInput, match="num_classes"):
        build(name, num_classes=num_classes)


@pytest.mark.parametrize("width", [0, -16])
def test_refuses_to_have_no_channels(width: int) -> None:
    with pytest.raises(InvalidInput, match="width"):
        build("resnet18", width=width)
