"""Whether the engine or the graph serves, by what a server has and what lies in the repository."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving.repository.plans import plan_of, with_engine
from tests.serving.repository.repositories import config_of, tree
from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.manifest import write_manifest
from regard.export.artifact import Artifact
from regard.serving.repository import add, check_model
from regard.serving.repository.engine_choice import Choice, Engine, Server, choose, engine_in, misfit
from regard.serving.repository.version_policy import with_versions

GPU_SERVER = Server(frozenset({"onnxruntime", "tensorrt"}), "10.5.0.18", ("8.6",))
SERVERS: dict[str, tuple[Server, str | None]] = {
    "fits": (GPU_SERVER, None),
    "version without its build": (Server(GPU_SERVER.backends, "10.5.0", ("8.6",)), None),
    "two equal GPUs": (Server(GPU_SERVER.backends, "10.5.0.18", ("8.6", "8.6")), None),
    "no backend": (
        Server(frozenset({"onnxruntime"}), "10.5.0.18", ("8.6",)),
        "this server has no `tensorrt` backend",
    ),
    "no version": (
        Server(GPU_SERVER.backends, None, ("8.6",)),
        "nobody knows which TensorRT this server's `tensorrt` backend has",
    ),
    "no GPU": (Server(GPU_SERVER.backends, "10.5.0.18"), "there is no GPU here"),
    "another version": (
        Server(GPU_SERVER.backends, "10.8.0.43", ("8.6",)),
        "it was built by tensorrt 10.5.0.18, and here is tensorrt 10.8.0.43",
    ),
    "another build": (
        Server(GPU_SERVER.backends, "10.5.0.19", ("8.6",)),
        "it was built by tensorrt 10.5.0.18, and here is tensorrt 10.5.0.19",
    ),
    "another GPU": (
        Server(GPU_SERVER.backends, "10.5.0.18", ("9.0",)),
        "it was built for compute capability 8.6, and the GPU here has 9.0",
    ),
    "one of two GPUs": (
        Server(GPU_SERVER.backends, "10.5.0.18", ("8.6", "9.0")),
        "it was built for compute capability 8.6, and the GPU here has 9.0",
    ),
}


@pytest.mark.parametrize(("server", "reason"), SERVERS.values(), ids=SERVERS.keys())
def test_what_a_server_would_load(colour: Artifact, server: Server, reason: str | None) -> None:
    engine = Engine(plan_of(colour.card, graph_sha256=colour.sha256))
    assert misfit(engine, server) == reason


def test_an_engine_of_tensorrt_rtx(colour: Artifact) -> None:
    plan = plan_of(colour.card, graph_sha256=colour.sha256, library="tensorrt_rtx", version="10.5.0.18")
    reason = misfit(Engine(plan), GPU_SERVER)
    assert reason == "it was built by tensorrt_rtx 10.5.0.18, and here is tensorrt 10.5.0.18"


def gone(name: str) -> Callable[[Path], None]:
    return lambda version: (version / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    return lambda version: (version / name).write_bytes((version / name).read_bytes()[:5])


def listed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The change, by somebody who wrote the manifest again."""

    def both(version: Path) -> None:
        change(version)
        write_manifest(version)

    return both


def of_another_graph(version: Path) -> None:
    text = (version / "plan.json").read_text()
    sha256 = text.split('"graph_sha256":"')[1][:64]
    (version / "plan.json").write_text(text.replace(sha256, "0" * 64))


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no engine": (gone("model.plan"), "its model.plan is missing"),
    "no record": (gone("plan.json"), "its plan.json is missing"),
    "half an engine": (cut("model.plan"), "its model.plan is not the file that was written there"),
    "half a record": (cut("plan.json"), "its plan.json is not the file that was written there"),
    "unlisted": (listed(gone("model.plan")), "its model.plan is missing"),
    "a record that says nothing": (listed(cut("plan.json")), "is damaged"),
    "another graph": (listed(of_another_graph), "it was built from another graph than the one beside it"),
}


@pytest.mark.parametrize(("damage", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_damaged_engine_leaves_the_graph(
    tmp_path: Path, colour: Artifact, damage: Callable[[Path], None], words: str
) -> None:
    """Whatever the server has: the reason is told, the model is served, and nothing on the disk changes."""
    repository = tmp_path / "repository"
    add(with_engine(colour), repository, backend="tensorrt")
    model = repository / "colour"
    assert engine_in(model / "1").fault is None
    damage(model / "1")
    before = tree(repository)
    config = with_versions(config_of(model), (1,))
    for server in (GPU_SERVER, Server(frozenset({"onnxruntime"}))):
        choice = choose(model, config, (1,), server)
        assert choice.config.backend == "onnxruntime"
        assert choice.why is not None
        assert choice.why.startswith("computed by ONNX Runtime, not by its engine: ")
        assert words in choice.why
    check_model(repository, "colour")
    assert tree(repository) == before


def test_every_version_must_fit(tmp_path: Path, colour: Artifact) -> None:
    """They share a configuration: one that does not fit leaves all of them to their graphs."""
    repository = tmp_path / "repository"
    add(with_engine(colour), repository, backend="tensorrt")
    add(with_engine(colour, compute_capabilities=("9.0",)), repository, backend="tensorrt")
    model = repository / "colour"
    config = config_of(model)
    assert choose(model, config, (1,), GPU_SERVER) == Choice(config, "computed by its engine, in TensorRT")
    both = choose(model, with_versions(config, (1, 2)), (1, 2), GPU_SERVER)
    assert both.config.backend == "onnxruntime"
    assert [*both.config.version_policy.specific.versions] == [1, 2]
    assert both.why == (
        "computed by ONNX Runtime, not by its engine: version 2: it was built for compute capability 9.0, "
        "and the GPU here has 8.6"
    )


def test_what_has_no_engine_to_choose(tmp_path: Path, colour: Artifact) -> None:
    """A graph alone, and somebody else's model, which regard has no graph of."""
    add(colour, tmp_path / "repository")
    model = tmp_path / "repository" / "colour"
    config = config_of(model)
    assert choose(model, config, (1,), GPU_SERVER) == Choice(config)
    theirs = ModelConfig(name="theirs", backend="tensorrt")
    assert choose(tmp_path, theirs, (1,), Server(frozenset())) == Choice(theirs)
