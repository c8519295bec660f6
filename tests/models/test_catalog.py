"""The catalog: names, what it says of each network, and its errors."""

import dataclasses
import re
from inspect import Parameter, signature
from typing import get_args

import pytest
import torch
from torch import nn

from regard.contract.card import NAME_PATTERN
from regard.contract.names import Task
from regard.errors import InvalidInput, UnknownName
from regard.models.attention import ATTENTION, find_attention
from regard.models.attention.simam import SimAM
from regard.models.backbones.resnet import DEPTHS
from regard.models.catalog import CATALOG, build, find, options
from regard.models.catalog_entry import Network
from regard.models.families import ENTRIES
from regard.models.interface import WithInterface

# a name for each system, or for each of its backbones' kinds where their options differ
REPRESENTATIVES = {
    (network.system, *options(name)): name for name, network in reversed(CATALOG.items())
}.values()
INDIVISIBLE = ("se", "cbam")  # on MobileNetV2, whose channels are no multiples of 16


@pytest.mark.parametrize("name", CATALOG)
def test_entry_is_complete(name: str) -> None:
    entry = find(name)
    assert entry is CATALOG[name]
    assert re.match(NAME_PATTERN, name)
    assert entry.task in get_args(Task)
    assert len(entry.paper) > 10
    # its builder says where **options go
    assert Parameter.VAR_KEYWORD not in {p.kind for p in signature(entry.build).parameters.values()}
    assert 2014 <= entry.year <= 2030


@pytest.mark.parametrize("name", CATALOG)
def test_builds_at_full_size(name: str) -> None:
    """The defaults are the paper's: 64 channels in ResNet's first stage, and a plausible number of
    parameters.
    """
    with torch.device("meta"):
        network = build(name)
    assert network.training
    assert isinstance(network, WithInterface) == (name in ENTRIES)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if name in ENTRIES:
        assert 1e4 < parameters < 300e6
        return
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
    with pytest.raises(UnknownName) as caught:
        build("se_resnet5")
    message = str(caught.value)
    assert message.startswith("no network named 'se_resnet5'. Did you mean 'se_resnet50', ")
    assert message.endswith(f"? `regard models` lists all {len(CATALOG)}.")
    assert message.count("'") == 2 * (1 + 5)  # the name itself, and the nearest five


def test_unknown_attention_suggests_neighbours() -> None:
    with pytest.raises(
        UnknownName,
        match=r"no attention named 'sse'\. Did you mean .*'se'.*`regard models resnet18` lists all \d+\.$",
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
        ("se_resnet18", {"width": 8}, "multiple of reduction"),
        ("resnet18", {"output_stride": 5}, "output_stride must be 8, 16 or 32, got 5"),
        ("resnet18", {"stem": "x"}, "stem must be"),
        ("resnet18", {"num_classes": "ten"}, "classes must be int, got 'ten'"),
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


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_an_option_at_its_default_changes_nothing(name: str) -> None:
    """Every option that is listed is one that the builder takes, with the default that it has."""
    with torch.device("meta"):
        network = build(name)
        given = build(name, **{key: option.default for key, option in options(name).items()})
    assert str(given) == str(network)
    assert "classes" in options(name) or name in ENTRIES


@pytest.mark.parametrize("name", ["resnet18", "fcn_mobilenet_v2", "vit_tiny"])
def test_classes_have_two_names(name: str) -> None:
    with torch.device("meta"):
        assert str(build(name, classes=7)) == str(build(name, num_classes=7))
    with pytest.raises(InvalidInput, match="classes and num_classes are two names of one option"):
        build(name, classes=7, num_classes=7)


def test_a_bug_in_a_builder_is_no_fault_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*, num_classes: int = 1) -> nn.Module:
        return nn.Conv2d(num_classes)  # which asks for more

    monkeypatch.setitem(CATALOG, "broken", dataclasses.replace(CATALOG["resnet18"], build=broken))
    with pytest.raises(TypeError, match="missing"):
        build("broken")


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "mobilenet_v2"])
@pytest.mark.parametrize("mechanism", ATTENTION)
def test_any_backbone_takes_any_attention_that_it_can_place(mechanism: str, backbone: str) -> None:
    """Its ResNets are those that are listed with it; where it cannot go, the error says why."""
    with torch.device("meta"):
        if backbone == "mobilenet_v2" and mechanism in INDIVISIBLE:
            with pytest.raises(
                InvalidInput, match=rf"^mobilenet_v2 .*'{mechanism}'}}: channels must be .* got"
            ):
                build(backbone, attention=mechanism)
            return
        network = build(backbone, attention=mechanism)
        kind = type(ATTENTION[mechanism].build(32))
    assert any(type(module) is kind for module in network.modules())
    if backbone != "mobilenet_v2":
        with torch.device("meta"):
            assert str(network) == str(build(f"{mechanism}_{backbone}"))


@pytest.mark.parametrize("name", ["danet_resnet50", "pan_mobilenet_v2", "gain_resnet18", "stn_tps"])
def test_attention_goes_into_the_backbones_of_others(name: str) -> None:
    with torch.device("meta"):
        assert any(isinstance(module, SimAM) for module in build(name, attention="simam").modules())


def test_systems() -> None:
    """Networks of one system differ in their variant, and share what is said of them."""
    systems: dict[str, list[Network]] = {}
    for name, network in CATALOG.items():
        systems.setdefault(network.system, []).append(network)
        assert network.variant in name
        assert network.backbone is None or name.endswith(f"_{network.backbone}")
    assert 60 < len(systems) < 100
    for networks in systems.values():
        assert len({network.variant for network in networks}) == len(networks)
        assert len({(n.task, n.paper, n.year, n.size, n.fixed_size) for n in networks}) == 1
        assert len({n.backbone is None for n in networks}) == 1
    assert [network.variant for network in systems["se_resnet"]] == ["18", "34", "50", "101"]
    assert [network.variant for network in systems["danet"]][-2:] == ["resnet101", "mobilenet_v2"]


@pytest.mark.parametrize("width", [0, -16])
def test_refuses_to_have_no_channels(width: int) -> None:
    with pytest.raises(InvalidInput, match="width"):
        build("resnet18", width=width)
