"""Snapshots with engines by a stand-in builder: what is built, what is kept, and what serves if it fails."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.conftest import largest_channel
from tests.serving.deploy.stand_in import SERVER, StandIn
from tests.serving.repository.plans import with_engine
from tests.serving.repository.repositories import config_of, tree
from tests.serving.variants import stripes, stripes_int8, variant_of
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup

from regard.contract.manifest import check_files, write_manifest
from regard.contract.names import OPERATORS_FILE
from regard.contract.plan import plan_in
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact
from regard.serving.deploy.engine_snapshot import Snapshot, take_snapshot
from regard.serving.repository import add, check_model
from regard.serving.repository.config import to_text
from regard.serving.repository.engine_choice import Server
from regard.serving.repository.op_library import SNAPSHOT_MOUNT, set_library

ROOT = Path(__file__).parents[3]
BY_ENGINE = "by its engine, in TensorRT"
NO_GPU = Server(frozenset({"tensorrt"}), "10.5.0", ())


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "engines").mkdir()
    return tmp_path / "engines"


def backend_of(volume: Path, model: str) -> tuple[str, str]:
    config = config_of(volume / "current" / model)
    return config.backend, config.default_model_filename


def engine_of(volume: Path, model: str, version: int = 1) -> Path:
    return volume / "current" / model / str(version) / "model.plan"


def test_models_are_served_by_engines_and_the_repository_is_only_read(repository: Path, volume: Path) -> None:
    before, builder, lines = tree(repository), StandIn(), []
    snapshot = take_snapshot(repository, volume, SERVER, builder, report=lines.append)
    assert tree(repository) == before
    assert builder.built == ["colour", "largest"]
    assert snapshot.ways == {
        "colour": BY_ENGINE,
        "colour_image": "on a GPU by colour",
        "largest": BY_ENGINE,
        "largest_image": "on a GPU by largest",
    }
    assert snapshot.folder == (volume / "current").resolve() == volume / "snapshots" / "1"
    assert not os.readlink(volume / "current").startswith("/")  # it is mounted elsewhere
    for model in ("colour", "largest"):
        config = config_of(volume / "current" / model)
        assert backend_of(volume, model) == ("tensorrt", "model.plan")
        assert [(group.kind, group.count) for group in config.instance_group] == [
            (ModelInstanceGroup.KIND_GPU, 1)
        ]
        check_files(volume / "current" / model / "1")
        check_model(volume / "current", model)
        assert backend_of(volume, f"{model}_image") == ("regard_image", "model.onnx")
    assert "colour 1: building an engine in float32: there is none of its graph" in lines
    assert lines[-1] == f"{snapshot.folder} is current: 4 models of {repository}"


def test_endpoints_share_their_files_as_in_the_repository(repository: Path, volume: Path) -> None:
    take_snapshot(repository, volume, NO_GPU, StandIn())
    one, other = (volume / "current" / each / "1" / "model.onnx" for each in ("colour", "colour_image"))
    assert one.samefile(other)


def test_what_is_unchanged_is_not_built_again(
    tmp_path: Path, repository: Path, volume: Path, biased: Artifact
) -> None:
    """The same files under second names; a new graph is built alone."""
    take_snapshot(repository, volume, SERVER, StandIn())
    kept = engine_of(volume, "colour").stat().st_ino
    builder = StandIn()
    take_snapshot(repository, volume, SERVER, builder)
    assert builder.built == []
    assert engine_of(volume, "colour").stat().st_ino == kept
    add(biased, repository, name="largest")
    take_snapshot(repository, volume, SERVER, builder)
    assert builder.built == ["largest"]
    assert not engine_of(volume, "largest", 1).exists()  # no server loads it
    assert plan_in(volume / "current" / "largest" / "2") is not None


@pytest.mark.parametrize(
    ("server", "record", "reason"),
    [
        (replace(SERVER, tensorrt="10.7.0"), {"version": "10.7.0.23"}, "here is tensorrt 10.7.0"),
        (replace(SERVER, compute_capabilities=("9.0",)), {"compute_capabilities": ("9.0",)}, "here has 9.0"),
    ],
)
def test_another_version_or_gpu_builds_again(
    repository: Path, volume: Path, server: Server, record: dict[str, Any], reason: str
) -> None:
    take_snapshot(repository, volume, SERVER, StandIn())
    builder, lines = StandIn(colour=record, largest=record), []
    take_snapshot(repository, volume, server, builder, report=lines.append)
    assert builder.built == ["colour", "largest"]
    assert any(line.startswith("colour 1: building") and reason in line for line in lines)
    assert backend_of(volume, "colour") == ("tensorrt", "model.plan")


@pytest.mark.parametrize("file", ["model.plan", "plan.json"])
def test_a_damaged_engine_is_built_again(repository: Path, volume: Path, file: str) -> None:
    take_snapshot(repository, volume, SERVER, StandIn())
    path = engine_of(volume, "colour").with_name(file)
    path.write_bytes(b"x" + path.read_bytes())  # under all of its names
    builder, lines = StandIn(), []
    take_snapshot(repository, volume, SERVER, builder, report=lines.append)
    assert builder.built == ["colour"]
    assert any("is not the file that was written there" in line for line in lines)
    check_files(volume / "current" / "colour" / "1")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (RuntimeError("a fault"), "RuntimeError: a fault"),
        (ExportError("the process died of SIGSEGV"), "the process died of SIGSEGV"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (MemoryError(), "MemoryError"),
        ({"graph_sha256": "0" * 64}, "of the graph 000000000000"),
        ({"precision": "fp16"}, "was built in fp16"),
        ({"library": "tensorrt_rtx", "version": "1.7.1"}, "tensorrt_rtx 1.7.1"),
        ({"compute_capabilities": ("8.9",)}, "compute capability 8.9"),
        ({"profiles": ({"least": (1, 8, 8, 3), "best": (1, 8, 8, 3), "most": (2, 8, 8, 3)},)}, "promises"),
        (
            {"bindings": ({"direction": "input", "name": "image", "data_type": "FP32", "shape": (-1,)},)},
            "the engine has",
        ),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else None,
)
def test_a_build_that_fails_leaves_the_model_to_onnx_runtime(
    repository: Path, volume: Path, fault: Any, reason: str
) -> None:
    lines: list[str] = []
    snapshot = take_snapshot(repository, volume, SERVER, StandIn(colour=fault), report=lines.append)
    assert snapshot.ways["colour"].startswith("by ONNX Runtime, not by an engine: ")
    assert reason in snapshot.ways["colour"]
    assert f"colour: served {snapshot.ways['colour']}" in lines
    assert snapshot.ways["largest"] == BY_ENGINE
    assert config_of(volume / "current" / "colour") == config_of(repository / "colour")
    assert not engine_of(volume, "colour").exists()
    assert len(list((volume / "engines").iterdir())) == 1  # nothing half-written
    check_model(volume / "current", "colour")


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (NO_GPU, "there is no GPU here"),
        (replace(SERVER, tensorrt=None), "there is no TensorRT here"),
        (replace(SERVER, compute_capabilities=("8.0", "8.6")), "compute capability 8.0 and 8.6"),
    ],
)
def test_without_one_kind_of_gpu_nothing_is_built(
    repository: Path, volume: Path, server: Server, reason: str
) -> None:
    builder = StandIn()
    snapshot = take_snapshot(repository, volume, server, builder)
    assert builder.built == []
    assert reason in snapshot.ways["colour"]
    assert reason in snapshot.ways["largest"]


def test_two_snapshots_are_kept_and_the_engines_of_both(
    repository: Path, volume: Path, biased: Artifact
) -> None:
    take_snapshot(repository, volume, SERVER, StandIn())
    assert len(list((volume / "engines").iterdir())) == 2
    add(biased, repository, name="largest")
    for kept in (["1", "2"], ["2", "3"], ["3", "4"]):
        snapshot = take_snapshot(repository, volume, SERVER, StandIn())
        assert sorted(path.name for path in (volume / "snapshots").iterdir()) == kept
        assert (volume / "current").resolve() == snapshot.folder
    shutil.rmtree(repository / "colour")
    shutil.rmtree(repository / "colour_image")
    for engines in (3, 2):  # of colour as well, as long as a snapshot has it
        take_snapshot(repository, volume, SERVER, StandIn())
        assert len(list((volume / "engines").iterdir())) == engines


def test_a_damaged_model_is_left_out_with_what_calls_it(repository: Path, volume: Path) -> None:
    graph = repository / "colour" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    (repository / "colour_image" / "1" / "model.onnx").unlink()
    snapshot = take_snapshot(repository, volume, SERVER, StandIn())
    assert set(snapshot.left_out) == {"colour", "colour_image"}
    assert f"{graph} is not the file that was written there" in snapshot.left_out["colour"]
    assert sorted(path.name for path in snapshot.folder.iterdir()) == ["largest", "largest_image"]


def test_an_endpoint_for_images_goes_with_the_model_that_it_calls(repository: Path, volume: Path) -> None:
    (repository / "colour" / "labels.txt").unlink()
    snapshot = take_snapshot(repository, volume, SERVER, StandIn())
    assert snapshot.left_out["colour_image"] == "it calls colour, which is left out"


def test_links_to_folders_are_not_followed(repository: Path, volume: Path) -> None:
    (repository / "colour" / "2").symlink_to(repository)
    snapshot = take_snapshot(repository, volume, SERVER, StandIn())
    assert "is a link" in snapshot.left_out["colour"]
    assert snapshot.ways["largest"] == BY_ENGINE


def test_a_repository_of_which_nothing_serves_leaves_the_snapshot_before(
    repository: Path, volume: Path
) -> None:
    before = take_snapshot(repository, volume, SERVER, StandIn())
    for model in ("colour", "largest"):
        (repository / model / "labels.txt").unlink(missing_ok=True)
        (repository / model / "card.json").write_text("{}")
    with pytest.raises(InvalidInput, match="no model of .* can be served"):
        take_snapshot(repository, volume, SERVER, StandIn())
    assert (volume / "current").resolve() == before.folder
    assert os.listdir(volume / "snapshots") == ["1"]  # noqa: PTH208


def test_only_graphs_for_onnx_runtime_get_engines(tmp_path: Path, volume: Path) -> None:
    artifact = stripes(tmp_path / "stripes")
    graph = stripes_int8(artifact)
    int8 = variant_of(artifact, "int8", precision="int8", runtime="onnxruntime", graph=graph)
    repository = tmp_path / "repository"
    add(int8, repository, name="quantized")
    bf16 = variant_of(artifact, "bf16", precision="bf16", runtime="openvino")
    add(bf16, repository, name="brain", endpoints="tensor")
    add(artifact, repository, name="images", endpoints="image")
    builder = StandIn()
    snapshot = take_snapshot(repository, volume, SERVER, builder)
    assert snapshot.ways == {
        "brain": "by openvino",
        "images_image": "on the CPU, without an endpoint for tensors",
        "quantized": BY_ENGINE,
        "quantized_image": "on a GPU by quantized",
    }
    plan = plan_in(volume / "current" / "quantized" / "1")
    assert plan is not None
    assert plan.precision == "int8"
    assert len(builder.built) == 1


def test_an_engine_of_the_repository_serves_where_it_fits(
    tmp_path: Path, volume: Path, colour: Artifact
) -> None:
    repository = tmp_path / "repository"
    add(with_engine(colour), repository, backend="tensorrt", instances=2)
    builder = StandIn()
    take_snapshot(repository, volume, SERVER, builder)
    assert builder.built == []
    assert engine_of(volume, "colour").read_bytes() == b"an engine"
    assert config_of(volume / "current" / "colour").instance_group[0].count == 2

    newer = replace(SERVER, compute_capabilities=("9.0",))
    take_snapshot(repository, volume, newer, StandIn(colour={"compute_capabilities": ("9.0",)}))
    assert engine_of(volume, "colour").read_bytes().startswith(b"the engine of")
    assert not engine_of(volume, "colour_image").exists()

    snapshot = take_snapshot(repository, volume, NO_GPU, builder)
    assert "there is no GPU here" in snapshot.ways["colour"]
    assert backend_of(volume, "colour") == ("onnxruntime", "model.onnx")
    check_model(volume / "current", "colour")


def test_killed_half_way_it_goes_on_where_it_was(repository: Path, volume: Path) -> None:
    """Nothing half-written is ever seen, and what was built is not built again."""
    command = [sys.executable, "-m", "tests.serving.deploy.stand_in", str(repository), str(volume)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-way\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (volume / "current").exists()
    assert [path.name for path in (volume / "snapshots").iterdir()] == [".1.draft"]
    builder = StandIn()
    snapshot = take_snapshot(repository, volume, SERVER, builder)
    assert builder.built == ["largest"]
    assert snapshot.ways["colour"] == snapshot.ways["largest"] == BY_ENGINE
    assert sorted(path.name for path in volume.iterdir()) == ["current", "engines", "snapshots"]
    assert [path.name for path in (volume / "snapshots").iterdir()] == ["1"]
    assert not [path for path in (volume / "engines").iterdir() if path.name.startswith(".")]


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """`largest_file(bytes)`: writing more into a file fails from now on, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_for_the_repository_leaves_the_snapshot_before(
    tmp_path: Path, repository: Path, volume: Path, largest_file: Callable[[int], None]
) -> None:
    before = take_snapshot(repository, volume, SERVER, StandIn())
    state = tree(volume)
    large = largest_channel(tmp_path / "large")
    (large.folder / "goldens" / "noise.png").write_bytes(np.random.default_rng(0).bytes(2**20))
    add(large, repository, name="another")
    largest_file(2**19)
    with pytest.raises(ExportError, match="the disk is full; free some space"):
        take_snapshot(repository, volume, SERVER, StandIn())
    assert (volume / "current").resolve() == before.folder
    assert tree(volume) == state


def test_a_disk_without_room_for_an_engine_leaves_the_model_to_onnx_runtime(
    repository: Path, volume: Path, largest_file: Callable[[int], None]
) -> None:
    builder = StandIn()

    def build(graph: Path, card: Any, variant: Any, engine: Path) -> Any:
        plan = builder(graph, card, variant, engine)
        if card.name == "colour":
            engine.write_bytes(bytes(2**20))
        return plan

    largest_file(2**19)
    snapshot = take_snapshot(repository, volume, SERVER, build)
    assert "the disk is full" in snapshot.ways["colour"]
    assert snapshot.ways["largest"] == BY_ENGINE


def test_one_snapshot_is_taken_at_a_time(repository: Path, volume: Path) -> None:
    from threading import Thread

    taken: list[Snapshot] = []
    threads = [
        Thread(target=lambda: taken.append(take_snapshot(repository, volume, SERVER, StandIn())))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(snapshot.folder.name for snapshot in taken) == ["1", "2", "3"]
    assert (volume / "current").resolve().name == "3"


def test_libraries_of_operators_are_those_of_the_snapshot(repository: Path, volume: Path) -> None:
    """The repository may have lost the version that the snapshot still serves."""
    place = repository / "colour" / "1"
    (place / OPERATORS_FILE).write_bytes(b"a library")
    write_manifest(place)
    config = config_of(repository / "colour")
    set_library(config, 1)
    (repository / "colour" / "config.pbtxt").write_text(to_text(config))
    take_snapshot(repository, volume, SERVER, StandIn(colour=RuntimeError("an operator that it lacks")))
    (named,) = config_of(volume / "current" / "colour").model_operations.op_library_filename
    assert named == f"{SNAPSHOT_MOUNT}/colour/1/operators.so"
    assert f"models={SNAPSHOT_MOUNT}\n" in (ROOT / "docker-compose.gpu.yml").read_text()
    check_model(volume / "current", "colour")
