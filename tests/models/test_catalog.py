"""The catalog: names, what it says of each network, and its errors."""

import re

import pytest
import torch

from regard.errors import InvalidInput, UnknownName
from regard.models.attention import ATTENTION, find_attention
from regard.models.card import NAME_PATTERN
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
    """The defaults are the paper's: 64 channels in ResNet's first stage, and a plausible number of parameters."""
    with torch.device("meta"):
        network = build(name)
    assert network.training
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert 1e6 < parameters < 200e6
    classes = 1000 if CATALOG[name].task == "classification" else 19
    assert any(parameter.shape[0] == classes for parameter in network.parameters() if parameter.ndim)


def test_holds_what_was_promised() -> None:
    depths = (18, 34, 50, 101)
    expected = {
        f"{prefix}resnet{depth}" for prefix in ["", *(f"{name}_" for name in ATTENTION), "fcn_", "danet_", "ccnet_"] for depth in depths
    }
    expected |= {"mobilenet_v2", "fcn_mobilenet_v2", "danet_mobilenet_v2", "ccnet_mobilenet_v2"}
    assert expected <= CATALOG.keys()


@pytest.mark.parametrize("name", CATALOG)
def test_attention_is_really_there(name: str) -> None:
    prefix, _, rest = name.partition("_resnet")
    if prefix not in ATTENTION:
        return
    with torch.device("meta"):
        kind = type(ATTENTION[prefix].build(32))
        assert any(type(module) is kind for module in build(f"{prefix}_resnet{rest}").modules())


def test_unknown_network_suggests_neighbours() -> None:
    with pytest.raises(UnknownName, match=r"no network named 'se_resnet5'\. Did you mean .*'se_resnet50'.*Known: .*resnet18"):
        build("se_resnet5")


def test_unknown_attention_suggests_neighbours() -> None:
    with pytest.raises(UnknownName, match=r"no attention named 'sse'\. Did you mean .*'se'.*Known: cbam, "):
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
