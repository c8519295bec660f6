"""The engines of a repository, whose libraries and GPUs are stand-ins."""

from pathlib import Path
from typing import Any

import pytest
from tests.serving.doctor.findings import NONE, ONE
from tests.serving.repository.plans import plan_of

from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, ENGINE_FILE, MODEL_FILE
from regard.contract.plan import PLAN_FILE
from regard.contract.reading import card_from_file
from regard.serving.doctor.finding import Finding
from regard.serving.doctor.plans import plans
from regard.serving.machine.gpus import Gpus
from regard.serving.repository.releases import RELEASE


def with_engine(repository: Path, name: str, **changes: Any) -> Path:
    """Put an engine beside a model's graph; its folder."""
    place = repository / name / "1"
    (place / ENGINE_FILE).write_bytes(b"an engine")
    card = card_from_file(place / CARD_FILE)
    record = plan_of(card, **{"graph_sha256": sha256(place / MODEL_FILE)} | changes)
    (place / PLAN_FILE).write_text(record.model_dump_json())
    write_manifest(place)
    return place


def found(repository: Path | None, gpus: Gpus = ONE) -> dict[str, Finding]:
    findings = [*plans(repository, gpus)]
    assert all((finding.next_step is None) == (finding.status == "ok") for finding in findings)
    return {finding.about: finding for finding in findings}


def test_no_repository_and_none_with_engines(repository: Path, tmp_path: Path) -> None:
    assert found(None)["repository"].status == "note"
    assert found(tmp_path / "nowhere")["repository"].status == "problem"
    (finding,) = found(repository).values()
    assert finding.status == "ok"
    assert finding.facts == {"folder": str(repository), "versions": 2, "engines": 0}


def test_what_regard_did_not_add_is_not_judged(repository: Path) -> None:
    (repository / "other" / "1").mkdir(parents=True)
    (repository / "other" / "1" / ENGINE_FILE).write_bytes(b"an engine")
    (repository / "other" / "config.pbtxt").write_text('backend: "tensorrt"')
    (finding,) = found(repository).values()
    assert finding.facts["versions"] == 2


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    finding = found(tmp_path)["repository"]
    assert finding.status == "problem"
    assert "its folder pictures has no config.pbtxt" in finding.says
    assert (finding.next_step or "").startswith("name a repository")


def test_an_engine_that_loads(repository: Path) -> None:
    with_engine(repository, "colour")
    finding = found(repository)["engine colour/1"]
    assert finding.status == "ok"
    assert finding.says == (
        "float32 by tensorrt 10.5.0.18 for compute capability 8.6: built, not run; loads here in NVIDIA's "
        f"container of Triton {RELEASE}; `regard serve`, without TensorRT, runs its graph"
    )
    assert finding.facts["loads"] is True
    assert finding.facts["target"] == "triton:24.10"


@pytest.mark.parametrize(
    ("changes", "gpus", "why", "step"),
    [
        ({}, NONE, "there is no GPU here", "serve it on a GPU of compute capability 8.6"),
        ({"version": "10.4.0"}, ONE, "built by tensorrt 10.4.0, and here is tensorrt", "build it again"),
        ({"compute_capabilities": ("9.0",)}, ONE, "the GPU here has 8.6", "build it again"),
        ({"library": "tensorrt_rtx"}, ONE, "built by tensorrt_rtx 10.5.0.18, and here", "build it again"),
        ({"graph_sha256": "1" * 64}, ONE, "from another graph than the one beside it", "build it again"),
    ],
)
def test_one_that_does_not_load_is_a_note_since_the_graph_serves(
    repository: Path, changes: dict[str, Any], gpus: Gpus, why: str, step: str
) -> None:
    with_engine(repository, "colour", **changes)
    finding = found(repository, gpus)["engine colour/1"]
    assert (finding.status, finding.facts["loads"]) == ("note", False)
    assert f"does not load here: {finding.facts['why']}; ONNX Runtime runs its graph" in finding.says
    assert why in finding.says
    assert (finding.next_step or "").startswith(step)


def test_without_the_graph_it_is_a_problem(repository: Path) -> None:
    place = with_engine(repository, "colour", compute_capabilities=("9.0",))
    (place / MODEL_FILE).unlink()
    finding = found(repository)["engine colour/1"]
    assert finding.status == "problem"
    assert finding.says.endswith("the GPU here has 8.6")


@pytest.mark.parametrize("file", [ENGINE_FILE, PLAN_FILE])
def test_what_is_incomplete_or_damaged(repository: Path, file: str) -> None:
    place = with_engine(repository, "colour")
    (place / file).write_text("{")
    damaged = found(repository)["engine colour/1"]
    assert f"{file} is not the file that was written there" in damaged.says
    assert (damaged.next_step or "").startswith("build it again")
    (place / file).unlink()
    assert f"{file} is missing" in found(repository)["engine colour/1"].says
