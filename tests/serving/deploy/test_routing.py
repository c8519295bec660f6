"""The files by which the gateway divides requests."""

from pathlib import Path

import pytest

from regard.errors import InvalidInput
from regard.serving.deploy.routing import Routing, read_routing, write_routing
from regard.serving.deploy.routing_keys import mirror_file, weight_files


def test_without_files_the_first_colour_serves(tmp_path: Path) -> None:
    assert read_routing(tmp_path) == Routing("a", canary=0, mirror=0)


@pytest.mark.parametrize(
    "routing", [Routing("a"), Routing("b"), Routing("a", canary=10), Routing("b", canary=49, mirror=100)]
)
def test_what_was_written_is_read(tmp_path: Path, routing: Routing) -> None:
    write_routing(tmp_path, Routing("a", mirror=5))
    write_routing(tmp_path, routing)
    assert read_routing(tmp_path) == routing


def test_each_file_holds_a_number_that_the_gateway_knows_by_name(tmp_path: Path) -> None:
    """HTTP and gRPC alike; the link is relative, as the folder is mounted elsewhere in the containers."""
    write_routing(tmp_path, Routing("b", canary=10, mirror=100))
    current = tmp_path / "routing" / "current"
    assert not current.readlink().is_absolute()
    found = {path.relative_to(current).as_posix(): path.read_text() for path in current.rglob("*_?")}
    expected = {mirror_file("a"): "100\n", mirror_file("b"): "0\n"}
    expected |= dict.fromkeys(weight_files("a"), "10\n") | dict.fromkeys(weight_files("b"), "90\n")
    assert found == expected


def test_the_way_back_writes_no_file(tmp_path: Path) -> None:
    """So that it needs no room on a full disk."""
    write_routing(tmp_path, Routing("a"))
    before = (tmp_path / "routing" / "current").resolve()
    write_routing(tmp_path, Routing("a", canary=10))
    write_routing(tmp_path, Routing("a"))
    assert (tmp_path / "routing" / "current").resolve() == before


def test_few_folders_stay(tmp_path: Path) -> None:
    for canary in range(1, 30):
        write_routing(tmp_path, Routing("a", canary=canary))
        assert read_routing(tmp_path).canary == canary
    assert len([*(tmp_path / "routing").iterdir()]) < 12


def test_the_ways_back_stay_however_many_canaries_there_were(tmp_path: Path) -> None:
    write_routing(tmp_path, Routing("a"))
    first = (tmp_path / "routing" / "current").resolve()
    for canary in range(1, 30):
        write_routing(tmp_path, Routing("a", canary=canary))
    write_routing(tmp_path, Routing("a"))
    assert (tmp_path / "routing" / "current").resolve() == first


@pytest.mark.parametrize("text", ["", "x", "101", "-1"])
def test_a_file_that_is_no_percentage(tmp_path: Path, text: str) -> None:
    write_routing(tmp_path, Routing("a"))
    file = tmp_path / "routing" / "current" / weight_files("a")[0]
    file.write_text(text)
    with pytest.raises(InvalidInput, match="percentage"):
        read_routing(tmp_path)


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    write_routing(tmp_path, Routing("a"))
    (tmp_path / "routing" / "current" / weight_files("a")[1]).write_text("70")
    with pytest.raises(InvalidInput, match="contradict"):
        read_routing(tmp_path)
