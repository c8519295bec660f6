"""The service's command where there is no GPU, and its builder by TensorRT-RTX, which needs none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant
from regard.errors import ExportError
from regard.export.tensorrt.target import target_of
from regard.serving.deploy.tensorrt_build import tensorrt_build
from regard.serving.repository.engine_checks import check_bindings, check_covers
from regard.serving.repository.signature import read_signature

ROOT = Path(__file__).parents[3]
IN_THE_IMAGE = ("google", "grpc", "numpy", "onnx", "onnxruntime", "PIL", "pydantic", "tritonclient")
PROGRAM = """
import sys
from regard.serving.deploy import build_engines
files = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}
print(*{name.split(".")[0] for name, file in files.items() if "site-packages" in file})
print(*(name for name in files if name.startswith("regard.models")))
"""


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def build_engines(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return python("-m", "regard.serving.deploy.build_engines", *arguments)


def test_without_a_gpu_the_snapshot_is_of_graphs(repository: Path, tmp_path: Path) -> None:
    volume = tmp_path / "engines"
    volume.mkdir()
    finished = build_engines(repository, volume)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert all(line.startswith("build-engine: ") for line in lines)
    assert any("colour: served by ONNX Runtime, not by an engine: there is no" in line for line in lines)
    assert (volume / "current" / "colour" / "1" / "model.onnx").is_file()

    (repository / "colour" / "card.json").write_text("{}")
    (repository / "largest" / "card.json").write_text("{}")
    for endpoint in ("colour_image", "largest_image"):
        (repository / endpoint / "labels.txt").write_text("nothing")
        (repository / endpoint / "card.json").write_text("{}")
    finished = build_engines(repository, volume)
    assert finished.returncode == 1
    assert "no new snapshot: no model of" in finished.stdout
    assert f"{volume / 'current'} stays as it was" in finished.stdout


def test_without_a_repository_it_says_what_serves(tmp_path: Path) -> None:
    finished = build_engines(tmp_path / "nothing", tmp_path)
    assert finished.returncode == 1
    assert "does not exist" in finished.stdout
    assert "there is no earlier one" in finished.stdout
    assert finished.stderr == ""


def test_it_needs_no_more_than_the_image_has() -> None:
    """What docker/Dockerfile.engine installs, with what that brings along."""
    finished = python("-c", PROGRAM)
    assert finished.returncode == 0, finished.stderr
    loaded = set(finished.stdout.split())
    assert {"numpy", "onnx", "pydantic", "tritonclient"} <= loaded
    brought = {"annotated_types", "pydantic_core", "typing_extensions", "typing_inspection", "ml_dtypes"}
    brought |= {"flatbuffers", "packaging", "rapidjson"}
    assert loaded - {"_distutils_hack"} <= {*IN_THE_IMAGE, *brought}


@pytest.fixture
def graph_and_card(repository: Path) -> tuple[Path, Card]:
    version = repository / "colour" / "1"
    return version / "model.onnx", card_from_file(version / "card.json")


def test_an_engine_is_built_of_a_graph_of_the_repository(
    graph_and_card: tuple[Path, Card], tmp_path: Path
) -> None:
    """By TensorRT-RTX for a GPU that is not here: built, not run."""
    graph, card = graph_and_card
    build = tensorrt_build(target_of("rtx:8.6"), lambda line: None)
    plan = build(graph, card, Variant(name="own", file=None), tmp_path / "model.plan")
    assert (tmp_path / "model.plan").stat().st_size
    assert (plan.graph_sha256, plan.precision, plan.target) == (sha256(graph), "float32", "rtx:8.6")
    assert not plan.run
    check_covers(plan, card)
    check_bindings(plan, read_signature(graph))


def test_an_engine_is_held_against_its_precision(graph_and_card: tuple[Path, Card], tmp_path: Path) -> None:
    graph, card = graph_and_card
    build = tensorrt_build(target_of("rtx:8.6"), lambda line: None)
    with pytest.raises(ExportError, match="no layers to compute in fp16"):
        build(graph, card, Variant(name="fp16", precision="fp16", file=None), tmp_path / "model.plan")
