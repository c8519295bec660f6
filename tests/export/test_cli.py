import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import numpy_helper
from PIL import Image
from tests.export.conftest import Exported
from torch import nn
from typer.testing import CliRunner, Result

from regard.contract.card import Card
from regard.errors import InvalidInput, UnknownName
from regard.export import onnx_export
from regard.export.artifact import read_artifact
from regard.export.proof.comparison import ParityError
from regard.models.load import own_callable
from regard.serving.cli.export import export

app = typer.Typer()
app.command()(export)


@pytest.fixture
def ready(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """The user's network is the exported one, and tracing is skipped."""
    monkeypatch.setattr(own_callable, "find_callable", lambda name: lambda: (exported.network, exported.card))
    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: onnx.load(exported.artifact.model))
    return exported


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["my_package.my_module:build", *map(str, arguments)])


def test_the_certificate_is_shown(ready: Exported, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out", "--name", "renamed", "--explain", "weights")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("proven equal") == 2
    assert "32 x 48" in result.stdout
    assert "mean (0.485, 0.456, 0.406)" in " ".join(result.stdout.split())
    assert read_artifact(tmp_path / "out").card.name == "renamed"


def test_options_reach_the_builder_and_the_card(
    ready: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def build(*, width: int, num_classes: int) -> tuple[nn.Module, Card]:
        given.append((width, num_classes))
        return ready.network, ready.card

    monkeypatch.setattr(own_callable, "find_callable", lambda name: build)
    result = run("-o", tmp_path / "out", "--set", "width=16", "--set", "classes=5")
    assert result.exit_code == 0, result.output
    assert given == [(16, 5)]
    assert read_artifact(tmp_path / "out").card.origin.options == {"width": 16, "classes": 5}
    result = run("-o", tmp_path / "other", "--set", "widht=16")
    assert isinstance(result.exception, UnknownName)
    assert "named 'widht'. Did you mean 'width'?" in str(result.exception)


def test_for_machines(ready: Exported, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(2):
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            pictures / f"{index}.png"
        )
    result = run("-o", tmp_path / "out", "--images", pictures, "--json")
    answer = json.loads(result.stdout)
    assert answer["sha256"] == read_artifact(tmp_path / "out").sha256
    assert answer["card"]["certificates"][0]["images"] == str(pictures)


def test_a_failed_proof_shows_the_certificate_and_fails(
    ready: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(ready.artifact.model)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "network.gate.excite.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))
    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: model)
    result = run("-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "NOT equal" in result.stdout
    assert isinstance(result.exception, ParityError)
    assert "First departing layer: gate.excite (Conv2d)" in str(result.exception)


@pytest.mark.parametrize("content", [None, b"", b"not an image"])
def test_images_that_are_none(ready: Exported, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "image.png").write_bytes(content)
    result = run("-o", tmp_path / "out", "--images", tmp_path)
    assert result.exit_code == 1
    assert isinstance(result.exception, InvalidInput)
    assert str(tmp_path) in str(result.exception)
