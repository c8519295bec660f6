"""A number of a version that was removed never means another one."""

import shutil
from pathlib import Path

import pytest

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository import add, remove
from regard.serving.repository.numbering import LAST_VERSION_FILE
from regard.serving.repository.snapshot import snapshot


@pytest.mark.parametrize("endpoints", ["both", "image"])
def test_the_number_of_a_removed_version_is_not_given_again(
    tmp_path: Path, colour: Artifact, endpoints: str
) -> None:
    repository = tmp_path / "repository"
    for version in (1, 2, 3):
        added = add(colour, repository, endpoints=endpoints if version == 1 else None)  # type: ignore[arg-type]
        assert added.version == version
    remove(repository, "colour", version=3)
    remove(repository, "colour", version=2)
    assert add(colour, repository).version == 4


def test_nor_of_one_that_was_deleted_by_hand(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    added = add(colour, tmp_path / "repository")
    for endpoint in added.endpoints:
        shutil.rmtree(tmp_path / "repository" / endpoint / "2")
    assert add(colour, tmp_path / "repository").version == 3


def test_nor_of_a_model_that_an_earlier_regard_added(tmp_path: Path, colour: Artifact) -> None:
    home = add(colour, tmp_path / "repository").folder.parent
    add(colour, tmp_path / "repository")
    (home / LAST_VERSION_FILE).unlink()
    remove(tmp_path / "repository", "colour", version=2)
    assert add(colour, tmp_path / "repository").version == 3


def test_a_model_that_was_removed_whole_is_forgotten(tmp_path: Path, colour: Artifact) -> None:
    for _ in range(2):
        assert add(colour, tmp_path / "repository", name=LAST_VERSION_FILE).version == 1
        remove(tmp_path / "repository", LAST_VERSION_FILE)


def test_a_server_sees_no_change_in_it(tmp_path: Path, colour: Artifact) -> None:
    home = add(colour, tmp_path / "repository").folder.parent
    before = snapshot(home.parent)
    (home / LAST_VERSION_FILE).write_text("7\n")
    assert snapshot(home.parent) == before
    assert add(colour, tmp_path / "repository").version == 8


def test_a_number_that_is_none(tmp_path: Path, colour: Artifact) -> None:
    home = add(colour, tmp_path / "repository").folder.parent
    (home / LAST_VERSION_FILE).write_text("two")
    with pytest.raises(InvalidInput, match="cannot read .*last_version, the highest number"):
        add(colour, tmp_path / "repository")
