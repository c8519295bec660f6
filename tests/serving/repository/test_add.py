"""What is written, and in which order it appears."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.serving.repository.repositories import changed, config_of, tree

from regard.contract import preprocess
from regard.contract.reading import card_from_json
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository import add, listing, remove


def test_what_is_written(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "new" / "repository"
    added = add(colour, repository, instances=2)
    assert (added.name, added.version, added.folder) == ("colour", 1, repository / "colour" / "1")
    assert added.endpoints == ("colour", "colour_image")
    assert set(tree(repository)) == {
        "colour/config.pbtxt",
        "colour/labels.txt",
        "colour/card.json",
        "colour/1/model.onnx",
        "colour/1/card.json",
        "colour_preprocess/config.pbtxt",
        "colour_preprocess/1/model.py",
        "colour_preprocess/1/preprocess.py",
        "colour_preprocess/1/card.json",
        "colour_preprocess/1/__pycache__",
        "colour_image/config.pbtxt",
        "colour_image/1/.keep",
    }
    assert (repository / "colour" / "labels.txt").read_text() == "red\ngreen\nblue\n"
    assert (repository / "colour" / "1" / "model.onnx").read_bytes() == colour.model.read_bytes()
    assert (repository / "colour_preprocess/1/preprocess.py").read_bytes() == Path(
        preprocess.__file__
    ).read_bytes()
    assert [path.name for path in repository.parent.iterdir()] == ["repository"]  # no draft is left


def test_an_ensemble_never_appears_before_its_parts(
    tmp_path: Path, colour: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every state between two renames is one that a polling server may see."""
    repository = tmp_path / "repository"
    rename, states = os.rename, list[set[str]]()

    def watched(source: Any, target: Any) -> None:
        rename(source, target)
        states.append({path.name for path in repository.iterdir()})

    monkeypatch.setattr(os, "rename", watched)
    add(colour, repository)
    remove(repository, "colour")
    parts = {"colour", "colour_preprocess"}
    assert states == [
        {"colour_preprocess"},
        parts,
        parts | {"colour_image"},
        parts,
        {"colour_preprocess"},
        set(),
    ]


def test_a_new_version_appears_by_one_rename_and_brings_its_card(
    tmp_path: Path, largest: Artifact, biased: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    add(largest, repository, instances=3)
    hand_made = (repository / "largest" / "config.pbtxt").read_text() + "response_cache { enable: true }\n"
    (repository / "largest" / "config.pbtxt").write_text(hand_made)
    rename, renamed = os.rename, list[Path]()

    def watched(source: Any, target: Any) -> None:
        renamed.append(Path(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)

    newer = changed(biased, origin={"metrics": {"miou": 0.7}})
    assert add(newer, repository).version == 2
    assert renamed == [repository / "largest" / "2"]
    config = config_of(repository / "largest")
    assert config.response_cache.enable  # the user's own settings stay
    assert config.instance_group[0].count == 3
    assert listing(repository)[0].versions == (1, 2)
    for endpoint in ("largest", "largest_image"):
        text = config_of(repository / endpoint).parameters["card"].string_value
        assert card_from_json(text, source=endpoint).origin.metrics == {"miou": 0.7}

    assert add(newer, repository, instances=1).version == 3
    assert config_of(repository / "largest").instance_group[0].count == 1
    remove(repository, "largest", version=3)
    remove(repository, "largest", version=2)  # the Card of version 1 is what clients read again
    text = config_of(repository / "largest").parameters["card"].string_value
    assert card_from_json(text, source="the first") == largest.card
    assert listing(repository)[0].card == largest.card


def test_a_newer_preprocessing_step_comes_with_the_next_version(tmp_path: Path, largest: Artifact) -> None:
    repository = tmp_path / "repository"
    add(largest, repository)
    step = repository / "largest_preprocess"
    add(largest, repository)
    assert sorted(path.name for path in step.iterdir()) == ["1", "config.pbtxt"]
    (step / "1" / "preprocess.py").write_text("# of an older regard\n")
    add(largest, repository)
    assert (step / "2" / "preprocess.py").read_bytes() == Path(preprocess.__file__).read_bytes()
    (step / "2" / "model.py").unlink()
    add(largest, repository)
    assert (step / "3" / "model.py").is_file()


def test_a_full_disk_leaves_the_repository_as_it_was(
    tmp_path: Path, colour: Artifact, largest: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(colour, tmp_path / "repository")
    before = tree(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "model.onnx")

    monkeypatch.setattr(shutil, "copyfile", full)
    for artifact in (colour, largest):
        with pytest.raises(InvalidInput, match="cannot write model.onnx: No space left on device"):
            add(artifact, tmp_path / "repository")
    assert tree(tmp_path) == before
