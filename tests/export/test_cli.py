import argparse
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import typer
from onnx import numpy_helper
from PIL import Image
from rich.console import Console
from tests.export.conftest import Exported
from torch import nn
from typer.testing import CliRunner, Result

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.errors import InvalidInput, InvalidWeights, UnknownName
from regard.export import onnx_export
from regard.export.artifact import read_artifact
from regard.export.proof.comparison import ParityError
from regard.models.load import own_callable, resolve
from regard.serving.cli import stages
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


def test_the_stages_are_lines_where_there_is_no_terminal(ready: Exported, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out", "--json")
    json.loads(result.stdout)
    lines = result.stderr.splitlines()
    assert [line.partition(" s  ")[2] for line in lines[:2]] == [
        "loading the network",
        "checking the network",
    ]
    seconds = [float(line.partition(" s  ")[0]) for line in lines]
    assert seconds == sorted(seconds)
    assert any(line.endswith("s  proving 2 of 5, batch 1 of 24 x 24") for line in lines)
    assert "\x1b" not in result.stderr


def test_the_stages_are_one_line_in_a_terminal(
    ready: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    monkeypatch.setattr(stages, "err", console)
    result = run("-o", tmp_path / "out", "--json")
    json.loads(result.stdout)
    assert "putting it in place" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # cleared at the end


def test_what_was_unwrapped_is_said(ready: Exported, tmp_path: Path) -> None:
    path = tmp_path / "w.pth.tar"
    state = {f"module.{name}": value for name, value in ready.network.state_dict().items()}
    torch.save({"state_dict": state, "ema": state, "args": argparse.Namespace(lr=0.1)}, path)
    result = run("-o", tmp_path / "out", "--weights", path)
    assert isinstance(result.exception, InvalidWeights)
    assert "several state dicts, state_dict, ema; name one as the key" in str(result.exception)
    result = run("-o", tmp_path / "out", "--weights", path, "--key", "ema", "--json")
    assert f"{path}: took ema, {len(state)} tensors\n" in result.stderr
    assert f"{path}: stripped module. of the names\n" in result.stderr
    assert json.loads(result.stdout)["card"]["origin"]["weights_sha256"] == sha256(path)


@pytest.mark.parametrize("suffix", [".ckpt", ".bin"])
def test_a_checkpoint_of_a_training_script_is_exported(suffix: str, tmp_path: Path) -> None:
    """Traced, translated and proven, with the weights of the file."""
    name = "resnet18?classes=3&width=8"
    trained, card = resolve(name, weights="random")
    path = tmp_path / f"w{suffix}"
    state = {f"model.{name}": value * 1.01 for name, value in trained.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"root": Path("data"), "lr": np.float64(0.1)}}, path)
    small = card.updated(inputs=[card.input.model_dump() | {"height": 32, "width": 32}])
    (tmp_path / "w.json").write_text(small.to_json())
    result = CliRunner().invoke(
        app, [name, "--weights", str(path), "-o", str(tmp_path / "out")], catch_exceptions=False
    )
    assert "proven equal" in result.stdout
    assert "stripped model. of the names" in result.stderr
    assert "translating" in result.stderr
    model = onnx.load(read_artifact(tmp_path / "out").model)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("fc.bias"))
    np.testing.assert_array_equal(numpy_helper.to_array(bias), state["model.fc.bias"].numpy())


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
