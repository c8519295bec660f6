"""`regard show`: an exported model and a model of a repository on one page."""

import json
from pathlib import Path

import pytest
from tests.serving.repository.plans import with_engine
from typer.testing import CliRunner

from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact
from regard.serving.cli.app import app
from regard.serving.repository import add


def show(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_artifact(colour: Artifact) -> None:
    page = json.loads(show(str(colour.folder), "--json"))
    assert (page["proven"], page["unproven"], page["variants"]) == (True, None, [])
    assert page["card"]["answer"]["labels"] == ["red", "green", "blue"]
    assert page["tensors"] == [
        {"direction": "input", "name": "image", "type": "UINT8", "dims": [8, 8, 3]},
        {"direction": "output", "name": "probabilities", "type": "FP32", "dims": [3]},
    ]
    files = {file["path"]: file for file in page["files"]}
    assert files["model.onnx"]["sha256"] == colour.sha256
    assert {"card.json", "manifest.json", "goldens/exact.jpg"} < files.keys()
    text = show(str(colour.folder))
    for shown in ("proven", "red, green, blue", "probabilities", colour.sha256, "stretch"):
        assert shown in text


def test_an_artifact_that_was_changed(colour: Artifact) -> None:
    with colour.model.open("ab") as file:
        file.write(b"\x0a\x00")  # an empty field of the message
    page = json.loads(show(str(colour.folder), "--json"))
    assert not page["proven"]
    assert "is not the graph that was proven" in page["unproven"]


def test_a_model_of_a_repository(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    add(colour, repository, instances=1)
    config = repository / "colour" / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 3") + "version_policy { all {} }")
    page = json.loads(show("colour", "--repository", str(repository), "--json"))
    assert page["proven"]
    assert page["folder"] == f"{repository}/colour/1"
    assert "colour: version_policy: version_policy { all { } }, not none" in page["settings"]
    assert any(setting.startswith("colour: instance_group: ") for setting in page["settings"])
    assert "set by the operator: colour: version_policy" in show("colour", "-r", str(repository))
    (repository / "colour" / "labels.txt").write_text("red\nblue\ngreen\n")
    page = json.loads(show("colour", "--repository", str(repository), "--json"))
    assert "labels.txt says 'blue' in line 2, the Card 'green'" in page["unproven"]


def test_what_is_not_there(tmp_path: Path, colour: Artifact) -> None:
    add(colour, tmp_path / "repository")
    for arguments, error, message in (
        (["color", "-r", str(tmp_path / "repository")], UnknownName, "Did you mean 'colour'"),
        ([str(tmp_path / "nothing")], InvalidInput, "is no exported model"),
        (["colour", "-r", str(tmp_path / "nowhere")], InvalidInput, "does not exist"),
    ):
        with pytest.raises(error, match=message):
            CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)


def test_a_damaged_engine_of_a_repository(tmp_path: Path, colour: Artifact) -> None:
    """The page says what is wrong with it, and shows the rest."""
    repository = tmp_path / "repository"
    add(with_engine(colour), repository, backend="tensorrt")
    (repository / "colour" / "1" / "plan.json").write_text("{")
    page = json.loads(show("colour", "-r", str(repository), "--json"))
    assert "its plan.json is not the file that was written there" in page["engine"][0]
    (repository / "colour" / "1" / "model.plan").unlink()
    page = json.loads(show("colour", "-r", str(repository), "--json"))
    assert page["engine"][0] == "cannot be used: its model.plan is missing"
    assert page["engine"][1].startswith("by `regard serve` here: computed by ONNX Runtime")
    assert page["proven"]
