"""The facts that `regard models` prints are those of the catalog as it is."""

import json
import subprocess
import sys

import pytest
import torch

from regard.errors import UnknownName
from regard.models.catalog import CATALOG, find
from regard.models.listing import list_networks, trained
from regard.models.weights_index import shipped

AGAIN = "run `python benchmarks/catalog.py --count`"
RUN = "from regard.serving.cli.app import main; main()"


def test_every_network_is_listed_in_the_catalogs_order() -> None:
    assert [row.name for row in list_networks()] == list(CATALOG), AGAIN


@pytest.mark.parametrize("row", list_networks(), ids=lambda row: row.name)
def test_a_row_says_what_the_catalog_says(row) -> None:
    entry = find(row.name)
    assert (row.task, row.paper, row.year, row.size) == (entry.task, entry.paper, entry.year, entry.size), (
        AGAIN
    )
    with torch.device("meta"):
        assert row.parameters == sum(parameter.numel() for parameter in entry.build().parameters()), AGAIN
    assert row.multiply_adds > 1e6
    if row.measured is not None:
        assert row.measured.nodes > 10
        assert row.measured.largest_error < 1e-4


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


def test_trained_weights_are_listed_once_each() -> None:
    assert sorted(name for names in trained().values() for name in names) == sorted(shipped())
    assert trained().keys() <= CATALOG.keys()


def test_the_command_needs_no_pytorch() -> None:
    hidden = "import sys; sys.modules['torch'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", hidden + RUN, "models", "--json"], capture_output=True, text=True, check=True
    )
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == list(CATALOG)
    weights = {name for row in rows for name in row["weights"]}
    assert weights == set(shipped())
    long = subprocess.run(
        [sys.executable, "-c", hidden + RUN, "models", "--long"], capture_output=True, text=True, check=True
    )
    assert all(name in long.stdout for name in CATALOG)
