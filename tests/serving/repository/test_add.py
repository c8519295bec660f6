"""What is written, and in which order it appears."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.serving.repository.repositories import changed, config_of, tree

from regard.contract.reading import card_from_json
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository import add, listing, remove


def test_what_is_written(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "new" / "repository"
    added = add(colour, repository, instances=2)
    assert (added.name, added.version, added.folder) == ("colour", 1, repository / "colour" / "1")
    assert added.endpoints == ("colour", "colour_image")
    files = ("config.pbtxt", "labels.txt", "card.json", "1/model.onnx", "1/card.json")
    version = {f"1/{path.relative_to(colour.folder)}" for path in colour.folder.rglob("*.*")}
    assert set(tree(repository)) == {
        "colour/last_version",
        *(f"{endpoint}/{file}" for endpoint in added.endpoints for file in {*files, *version}),
    }
    for endpoint in added.endpoints:
        assert (repository / endpoint / "labels.txt").read_text() == "red\ngreen\nblue\n"
        assert (repository / endpoint / "1" / "model.onnx").read_bytes() == colour.model.read_bytes()
    for file in ("model.onnx", "card.json"):  # once on the disk
        assert (repository / "colour" / "1" / file).samefile(repository / "colour_image" / "1" / file)
    assert not (repository / "colour" / "1" / "model.onnx").samefile(colour.model)
    assert [path.name for path in repository.parent.iterdir()] == ["repository"]  # no draft is left


def test_an_endpoint_never_appears_before_the_one_it_may_call(
    tmp_path: Path, colour: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every state between two renames is one that a polling server may see."""
    repository = tmp_path / "repository"
    rename, states = os.rename, list[set[str]]()

    def watched(source: Any, target: Any) -> None:
        rename(source, target)
        states.append({str(path.relative_to(repository)) for path in repository.glob("*/*") if path.is_dir()})

    monkeypatch.setattr(os, "rename", watched)
    add(colour, repository)
    add(colour, repository)
    remove(repository, "colour", version=1)
    remove(repository, "colour")
    assert states == [
        {"colour/1"},
        {"colour/1", "colour_image/1"},
        {"colour/1", "colour_image/1", "colour/2"},
        {"colour/1", "colour_image/1", "colour/2", "colour_image/2"},
        {"colour/1", "colour/2", "colour_image/2"},
        {"colour/2", "colour_image/2"},
        {"colour/2"},
        set(),
    ]


def test_a_new_version_appears_by_a_rename_at_each_endpoint_and_brings_its_card(
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
    assert renamed == [repository / "largest" / "2", repository / "largest_image" / "2"]
    config = config_of(repository / "largest")
    assert config.response_cache.enable  # the user's own settings stay
    assert config.instance_group[0].count == 3
    assert listing(repository)[0].versions == (1, 2)
    for endpoint in ("largest", "largest_image"):
        text = config_of(repository / endpoint).parameters["card"].string_value
        assert card_from_json(text, source=endpoint).origin.metrics == {"miou": 0.7}

    assert add(newer, repository, instances=1, batching=True).version == 3
    for endpoint in ("largest", "largest_image"):
        assert config_of(repository / endpoint).instance_group[0].count == 1
        assert config_of(repository / endpoint).HasField("dynamic_batching")
    remove(repository, "largest", version=3)
    remove(repository, "largest", version=2)  # the Card of version 1 is what clients read again
    text = config_of(repository / "largest").parameters["card"].string_value
    assert card_from_json(text, source="the first") == largest.card.updated(certificates=())
    assert listing(repository)[0].card == largest.card


@pytest.mark.parametrize("endpoints", ["image", "tensor"])
def test_one_endpoint_alone(tmp_path: Path, colour: Artifact, endpoints: Any) -> None:
    repository = tmp_path / "repository"
    folder = {"image": "colour_image", "tensor": "colour"}[endpoints]
    for version in (1, 2):
        added = add(colour, repository, endpoints=endpoints, instances=1)
        assert (added.version, added.endpoints) == (version, (folder,))
        assert added.folder == repository / folder / str(version)
    assert add(colour, repository).version == 3  # as those before it
    assert [path.name for path in repository.iterdir()] == [folder]
    (entry,) = listing(repository)
    assert (entry.name, entry.versions, entry.endpoints) == ("colour", (1, 2, 3), (folder,))
    assert entry.card == colour.card
    with pytest.raises(InvalidInput, match=f"through {folder}, not colour and colour_image"):
        add(colour, repository, endpoints="both")
    remove(repository, "colour", version=3)
    remove(repository, "colour")
    assert list(repository.iterdir()) == []


def test_endpoints_that_there_are_not(tmp_path: Path, colour: Artifact) -> None:
    with pytest.raises(InvalidInput, match="of colour must be one of tensor, image, both, got 'all'"):
        add(colour, tmp_path / "repository", endpoints="all")  # type: ignore[arg-type]


def test_a_version_that_cannot_appear_everywhere_appears_nowhere(
    tmp_path: Path, colour: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    add(colour, repository)
    before, rename = tree(tmp_path), os.rename

    def failing(source: Any, target: Any) -> None:
        if Path(target) == repository / "colour_image" / "2":
            raise OSError(5, "Input/output error", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(InvalidInput, match="Input/output error"):
        add(colour, repository)
    assert tree(tmp_path) == before


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
