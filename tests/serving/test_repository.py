"""The model repository: what is written, in which order it appears, and what is refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup
from typer.testing import CliRunner

from regard.contract import preprocess
from regard.contract.card import card_from_json
from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact
from regard.serving.cli.repo import app
from regard.serving.repository import add, listing, remove
from regard.serving.repository.config import MAX_INSTANCES


def config_of(folder: Path) -> ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(), ModelConfig())


def changed(artifact: Artifact, **changes: Any) -> Artifact:
    """The artifact with another Card; an input or output is changed in the fields given."""
    fields = {
        name: getattr(artifact.card, name).model_dump() | value if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return Artifact(artifact.folder, artifact.card.updated(**fields), artifact.sha256)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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


def test_configuration_of_a_classifier(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    config = config_of(tmp_path / "repository" / "colour")
    cores = len(os.sched_getaffinity(0))
    assert (config.name, config.backend, config.max_batch_size) == ("colour", "onnxruntime", 8)
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [("image", [8, 8, 3])]
    assert [(tensor.name, list(tensor.dims), tensor.label_filename) for tensor in config.output] == [
        ("probabilities", [3], "labels.txt")
    ]
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.gpus)) == (
        ModelInstanceGroup.KIND_AUTO,
        min(cores, MAX_INSTANCES),
        [],
    )
    assert config.parameters["intra_op_thread_count"].string_value == str(max(1, cores // MAX_INSTANCES))
    assert config.HasField("dynamic_batching")
    assert len(config.model_warmup) == 1
    text = config.parameters["card"].string_value
    assert card_from_json(text, source="the parameter") == colour.card.updated(certificates=(), tools={})


def test_configuration_of_a_segmenter(tmp_path: Path, largest: Artifact) -> None:
    add(largest, tmp_path / "repository")
    config = config_of(tmp_path / "repository" / "largest")
    assert [list(tensor.dims) for tensor in (*config.input, *config.output)] == [[-1, -1, 3], [-1, -1]]
    assert not config.output[0].label_filename
    assert not (tmp_path / "repository" / "largest" / "labels.txt").exists()
    ensemble = config_of(tmp_path / "repository" / "largest_image")
    assert [step.model_name for step in ensemble.ensemble_scheduling.step] == [
        "largest_preprocess",
        "largest",
    ]
    # the pixels between the steps are not exposed
    assert [tensor.name for tensor in ensemble.output] == ["label_map"]


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": {"max_size": 96}}, r"input contract is {'max_size': 96}, not {'max_size': 128}"),
        ({"output": {"labels": tuple("abcdefghijk")}}, "output contract is"),
        ({"input": {"max_batch": 2}}, "input contract is {'max_batch': 2}"),
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
    with pytest.raises(InvalidInput, match="a label is one line"):
        add(changed(colour, output={"labels": ("red", "gre\nen", "blue")}), tmp_path / "repository")


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


def test_a_damaged_configuration(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    (tmp_path / "repository" / "colour" / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(InvalidInput, match=r"cannot read .*config.pbtxt.*remove the model and add it again"):
        listing(tmp_path / "repository")


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


def test_commands(tmp_path: Path, colour: Artifact) -> None:
    repository = str(tmp_path / "repository")

    def regard(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--repository", repository], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert json.loads(regard("add", str(colour.folder), "--json")) == {
        "name": "colour",
        "version": 1,
        "folder": f"{repository}/colour/1",
        "endpoints": ["colour", "colour_image"],
    }
    assert "version 2" in regard("add", str(colour.folder))
    (row,) = json.loads(regard("list", "--json"))
    assert (row["name"], row["versions"], row["card"]["task"]) == ("colour", [1, 2], "classification")
    assert "colour_image" in regard("list")
    assert "removed colour version 1" in regard("remove", "colour", "--version", "1")
    assert "removed colour" in regard("remove", "colour")
    assert json.loads(regard("list", "--json")) == []
