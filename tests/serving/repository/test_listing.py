"""What a repository holds."""

from pathlib import Path

import pytest

from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact
from regard.serving.repository import add, listing, remove


def test_what_is_not_there(tmp_path: Path, colour: Artifact) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        listing(tmp_path / "repository")
    add(colour, tmp_path / "repository")
    with pytest.raises(UnknownName, match="Did you mean 'colour'"):
        remove(tmp_path / "repository", "color")
    with pytest.raises(UnknownName, match="no version of colour named '7'"):
        remove(tmp_path / "repository", "colour", version=7)
    with pytest.raises(InvalidInput, match="the only version"):
        remove(tmp_path / "repository", "colour", version=1)


def test_a_damaged_configuration(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    (tmp_path / "repository" / "colour" / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(InvalidInput, match=r"cannot read .*config.pbtxt.*remove the model and add it again"):
        listing(tmp_path / "repository")


def test_a_model_of_somebody_else_is_listed(tmp_path: Path, largest: Artifact) -> None:
    add(largest, tmp_path / "repository")
    (tmp_path / "repository" / "theirs" / "1").mkdir(parents=True)
    (tmp_path / "repository" / "theirs" / "config.pbtxt").write_text('name: "theirs" backend: "python"')
    (tmp_path / "repository" / "README.md").touch()
    entries = {entry.name: entry for entry in listing(tmp_path / "repository")}
    assert set(entries) == {"largest", "theirs"}
    assert (entries["theirs"].backend, entries["theirs"].card, entries["theirs"].endpoints) == (
        "python",
        None,
        ("theirs",),
    )
    with pytest.raises(InvalidInput, match="was not added by regard"):
        add(largest, tmp_path / "repository", name="theirs")
