"""What may not be added, and what is no repository."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.serving.repository.repositories import changed, tree

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository import add, listing, remove


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": {"max_size": 96}}, r"its input image is {'max_size': 96}, not {'max_size': 128}"),
        ({"answer": {"labels": tuple("abcdefghijk")}}, "answer is"),
        ({"input": {"max_batch": 2}}, "its input image is {'max_batch': 2}"),
    ],
)
def test_a_version_that_is_called_otherwise_is_refused(
    tmp_path: Path, largest: Artifact, changes: dict[str, Any], words: str
) -> None:
    repository = tmp_path / "repository"
    add(largest, repository)
    before = tree(repository)
    with pytest.raises(InvalidInput, match=words) as caught:
        add(changed(largest, **changes), repository)
    assert "another name, or remove largest first" in str(caught.value)
    assert tree(repository) == before


def test_a_version_of_another_task_is_refused(tmp_path: Path, largest: Artifact, colour: Artifact) -> None:
    add(largest, tmp_path / "repository")
    with pytest.raises(InvalidInput, match="its task is classification, not segmentation"):
        add(colour, tmp_path / "repository", name="largest")


def test_a_version_with_other_normalization_is_welcome(tmp_path: Path, largest: Artifact) -> None:
    """It is applied inside the graph: who sends images does not notice."""
    add(largest, tmp_path / "repository")
    assert add(changed(largest, input={"mean": (0.1, 0.2, 0.3)}), tmp_path / "repository").version == 2


@pytest.mark.parametrize(
    "name", ["", "../escape", "a b", ".hidden", "x" * 129, "photo_image", "photo_preprocess"]
)
def test_bad_names(tmp_path: Path, colour: Artifact, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        add(colour, tmp_path / "repository", name=name)
    assert not (tmp_path / "repository").exists()


def test_bad_instances_and_labels(tmp_path: Path, colour: Artifact) -> None:
    with pytest.raises(InvalidInput, match="instances must be 1 or more, got 0"):
        add(colour, tmp_path / "repository", instances=0)
    with pytest.raises(InvalidInput, match="threads must be 1 or more, got -1"):
        add(colour, tmp_path / "repository", threads=-1)
    with pytest.raises(InvalidInput, match="a label is one line"):
        add(changed(colour, answer={"labels": ("red", "gre\nen", "blue")}), tmp_path / "repository")


def test_a_name_whose_parts_are_taken(tmp_path: Path, colour: Artifact) -> None:
    (tmp_path / "repository" / "colour_image").mkdir(parents=True)
    (tmp_path / "repository" / "colour_image" / "config.pbtxt").write_text('name: "colour_image"')
    with pytest.raises(InvalidInput, match="already holds colour_image"):
        add(colour, tmp_path / "repository")


def photos(folder: Path) -> None:
    (folder / "photos").mkdir(parents=True)


@pytest.mark.parametrize(
    "make", [photos, lambda folder: folder.write_text("")], ids=["other folders", "a file"]
)
def test_a_folder_that_is_no_repository(
    tmp_path: Path, colour: Artifact, make: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "folder"
    make(folder)
    for act in (lambda: add(colour, folder), lambda: listing(folder), lambda: remove(folder, "colour")):
        with pytest.raises(InvalidInput, match="model repository"):
            act()


def test_a_graph_without_a_dynamic_batch(tmp_path: Path, colour: Artifact) -> None:
    import onnx

    model = onnx.load(colour.model)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, colour.model)
    with pytest.raises(InvalidInput, match="dynamic batch"):
        add(colour, tmp_path / "repository")
    colour.model.write_bytes(b"no graph")
    with pytest.raises(InvalidInput, match="no whole ONNX file"):
        add(colour, tmp_path / "repository")
