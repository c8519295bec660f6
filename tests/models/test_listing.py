"""The facts that `regard models` prints are those of the catalog as it is."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import torch

from regard.errors import UnknownName
from regard.models.catalog import CATALOG, find, options
from regard.models.interface import WithInterface
from regard.models.listing import Row, find_networks, list_networks, systems, trained
from regard.models.weights_index import shipped

AGAIN = "run `python benchmarks/catalog.py --count`"
RUN = "from regard.serving.cli.app import main; main()"


def test_every_network_is_listed_in_the_catalogs_order() -> None:
    assert [row.name for row in list_networks()] == list(CATALOG), AGAIN


@pytest.mark.parametrize("row", list_networks(), ids=lambda row: row.name)
def test_a_row_says_what_the_catalog_says(row: Row) -> None:
    entry = find(row.name)
    for fact in ("task", "paper", "year", "size", "system", "variant", "backbone"):
        assert getattr(row, fact) == getattr(entry, fact), AGAIN
    with torch.device("meta"):
        network = entry.build()
    assert row.parameters == sum(parameter.numel() for parameter in network.parameters()), AGAIN
    if isinstance(network, WithInterface):
        said = network.interface()
        assert row.inputs == tuple(taken.tensor for taken in said.inputs), AGAIN
        assert row.sessions == (said.state is not None), AGAIN
    assert row.multiply_adds > 1e4
    if row.measured is not None:
        assert row.measured.nodes > 10
        assert row.measured.largest_error < 1e-4


@pytest.mark.parametrize(
    ("changes", "purpose"),
    [
        ({}, "classification of 224 x 224 pixels"),
        ({"task": "segmentation", "sessions": True}, "segmentation of 224 x 224 pixels, in sessions"),
        ({"inputs": ("frames",)}, "classification of frames of 224 x 224 pixels"),
        ({"task": "translation", "inputs": ("tokens",)}, "translation of text"),
        (
            {"task": "question_answering", "inputs": ("story", "question")},
            "question answering of a story and a question",
        ),
        (
            {"task": "question_answering", "inputs": ("image", "question")},
            "question answering of 224 x 224 pixels and a question",
        ),
    ],
)
def test_what_a_network_is_for(changes: dict[str, Any], purpose: str) -> None:
    (row,) = find_networks("resnet18")
    assert row.model_copy(update=changes).purpose == purpose


def test_multiply_adds() -> None:
    """As the paper of ResNet counts them: 1.8, 3.6, 3.8 and 7.6 billion; the stride in the 3x3 convolution
    adds 0.2 to the deeper.
    """
    found = {row.name: row.multiply_adds for row in list_networks()}
    expected = {"resnet18": 1.814e9, "resnet34": 3.663e9, "resnet50": 4.089e9, "resnet101": 7.801e9}
    for name, multiply_adds in expected.items():
        assert found[name] == pytest.approx(multiply_adds, rel=2e-3)


def test_one_task_and_an_unknown_one() -> None:
    assert {row.task for row in list_networks("segmentation")} == {"segmentation"}
    with pytest.raises(UnknownName, match="segmentation"):
        list_networks("segmentatoin")


def test_systems_hold_every_network_once() -> None:
    rows = list_networks()
    found = {system.name: system for system in systems(rows)}
    assert sorted(row.name for system in found.values() for row in system.networks) == sorted(CATALOG)
    assert 60 < len(found) < 100
    for system in found.values():
        assert {row.name for row in system.networks} == {
            system.pattern.replace("*", variant) for variant in system.variants or ("",)
        }
    assert (found["se_resnet"].pattern, found["se_resnet"].variants) == (
        "se_resnet*",
        ("18", "34", "50", "101"),
    )
    assert found["san_pairwise"].pattern == "san*_pairwise"
    assert (found["mobilenet_v2"].pattern, found["mobilenet_v2"].variants) == ("mobilenet_v2", ())


def test_a_system_or_a_network_by_name() -> None:
    assert [row.name for row in find_networks("vit")] == ["vit_tiny", "vit_small", "vit_base"]
    assert [row.name for row in find_networks("vit_tiny")] == ["vit_tiny"]
    with pytest.raises(
        UnknownName, match=r"no network or system named 'se_resnt'\. Did you mean 'se_resnet', "
    ):
        find_networks("se_resnt")


def test_trained_weights_are_listed_once_each() -> None:
    assert sorted(name for names in trained().values() for name in names) == sorted(shipped())
    assert trained().keys() <= CATALOG.keys()


def run(*arguments: str, before: str = "") -> str:
    command = [sys.executable, "-c", before + RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_command_needs_no_pytorch() -> None:
    hidden = "import sys; sys.modules['torch'] = None; "
    rows = json.loads(run("models", "--json", before=hidden))
    assert [row["name"] for row in rows] == list(CATALOG)
    weights = {name for row in rows for name in row["weights"]}
    assert weights == set(shipped())
    table = run("models", before=hidden)
    assert all(system.pattern in table for system in systems(list_networks()))
    assert all(name in table for name in shipped())
    assert len(table.splitlines()) < len(CATALOG)
    measured = run("models", "--long", before=hidden)
    assert all((f"{row.name} " in measured) == (row.measured is not None) for row in list_networks())


def test_the_command_shows_one_system_and_its_options() -> None:
    table = run("models", "danet")
    assert all(f"danet_{backbone}" in table for backbone in ("resnet18", "resnet101", "mobilenet_v2"))
    assert re.search(r"decoder +false +bool", table)
    assert "attention: se, cbam, " in table
    (network,) = json.loads(run("models", "vit_tiny", "--json"))
    assert network["measured"]["nodes"] > 10
    assert network["options"] == {key: option.default for key, option in options("vit_tiny").items()}


def test_types_and_lists_are_printed_whole() -> None:
    table = run("models", "two_level")
    assert re.search(r"boxes +\[\[0.0, 0.0, 1.0, 1.0\], .* \.\.\. +Sequence\[Sequence\[float\]\]", table)
