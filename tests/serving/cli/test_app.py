"""How the command line ends: a user's mistake in one line and exit code 1, wrong usage with 2."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import regard
from regard.contract.card import Card

CARD: dict[str, Any] = {
    "name": "anything",
    "inputs": [{"height": 32, "width": 32, "resize": "stretch"}],
    "answer": {"kind": "classes", "labels": ["cat", "dog"]},
    "origin": {"builder": "tests:build"},
}
RUN = "from regard.serving.cli.app import main; main()"


def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + RUN, *arguments], capture_output=True, text=True, check=False
    )


def test_an_unknown_name_is_one_line_with_its_neighbours() -> None:
    done = run("export", "se_resnet51", "-o", "unwritten")
    assert done.returncode == 1
    stage, message = done.stderr.splitlines()
    assert stage.endswith(" s  loading the network")
    assert message.startswith("regard: no network named 'se_resnet51'. Did you mean 'se_resnet50'")


def test_an_unknown_option_is_one_line_with_its_neighbours() -> None:
    done = run("export", "resnet18", "--weights", "random", "--set", "widht=8", "-o", "unwritten")
    assert done.returncode == 1
    _, message = done.stderr.splitlines()
    assert message.startswith("regard: no option of resnet18 named 'widht'. Did you mean 'width'?")


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "regard", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"regard {regard.__version__}\n"


def test_wrong_usage() -> None:
    assert run("export").returncode == 2


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("export resnet18 --weights random -o out", "torch", "export"),
        ("export resnet18 --weights random -o out", "onnxruntime", "cpu"),
        ("import none.onnx --card card.json -o out", "onnx", "export"),
        ("convert none.pt --to resnet18 -o out.safetensors", "torch", "export"),
        ("predict ./exported image.png", "onnx", "cpu"),
        ("predict ./exported image.png", "onnxruntime", "cpu"),
        ("train se_resnet18_fashion_mnist", "torch", "train"),
        ("repo add exported", "onnx", "server"),
        ("serve", "onnx", "server"),
        ("show ./exported", "onnx", "cpu"),
        ("batch ./exported images out", "ray", "ray"),
        ("batch ./exported images out", "pyarrow", "ray"),
        ("bench anything --picture out.png", "matplotlib", "bench"),
        ("evaluate anything --data images --out judged", "matplotlib", "bench"),
        ("tune exported --picture tuned.png", "matplotlib", "bench"),
        ("evaluate resnet18 --weights random --data images", "torch", "export"),
        ("compare one other --data images --out judged", "matplotlib", "bench"),
        ("compare resnet18@random other --data images", "torch", "export"),
        ("compare ./one ./other --data images", "onnxruntime", "cpu"),
        ("evaluate ./exported --data images", "onnx", "cpu"),
        ("compare ./one ./other --data images", "onnx", "cpu"),
        ("compare resnet18@random ./other --data images", "onnx", "cpu"),
    ],
)
def test_a_missing_extra_is_named(
    command: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text(Card(**CARD).to_json())
    done = run(*command.split(), before=f"import sys; sys.modules[{module!r}] = None; ")
    assert done.returncode == 1
    assert f"needs {module}, which is not installed: pip install 'regard[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_module_of_no_extra_is_a_bug() -> None:
    done = run("repo", "list", before="import sys; sys.modules['regard.serving.repository'] = None; ")
    assert "Traceback" in done.stderr
