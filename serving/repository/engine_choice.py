"""Whether a server loads a model's engine, or runs the graph beside it in ONNX Runtime, and why: under the
same name, and without a change on the disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.digest import sha256
from regard.contract.manifest import read_manifest
from regard.contract.names import CARD_FILE, MODEL_FILE
from regard.contract.plan import Plan, plan_in
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput
from regard.serving.repository.engine import served_by_onnx_runtime
from regard.serving.repository.engine_checks import ENGINE_FILES
from regard.serving.repository.runtime import TENSORRT


@dataclass(frozen=True)
class Server:
    """What a server would load an engine by.

    backends: those that it has, by name. tensorrt: the version that its `tensorrt` backend has; None where it
    is not known. compute_capabilities: of the GPUs that it sees.
    """

    backends: frozenset[str]
    tensorrt: str | None = None
    compute_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The configuration that a model is loaded by, and in words what computes and why; None where there is no
    engine to choose.
    """

    config: ModelConfig
    why: str | None = None


@dataclass(frozen=True)
class Engine:
    """The engine of a version: its record, or else why it cannot be used, whatever the server."""

    plan: Plan | None = None
    fault: str | None = None


def misfit(engine: Engine, server: Server) -> str | None:
    """Why a server would not load an engine; None where it would."""
    plan = engine.plan
    if plan is None:
        return engine.fault
    if TENSORRT not in server.backends:
        return f"this server has no `{TENSORRT}` backend"
    if server.tensorrt is None:
        return f"nobody knows which TensorRT this server's `{TENSORRT}` backend has"
    if not server.compute_capabilities:
        return "there is no GPU here"
    reasons = (plan.misfit("tensorrt", server.tensorrt, each) for each in server.compute_capabilities)
    return next((reason for reason in reasons if reason is not None), None)


def engine_in(version: Path) -> Engine:
    """The engine in a version's folder, held against the folder's manifest."""
    try:
        listed = read_manifest(version).files
        for file in ENGINE_FILES:
            if not (version / file).is_file():
                return Engine(fault=f"its {file} is missing")
            if sha256(version / file) != listed.get(file):
                return Engine(fault=f"its {file} is not the file that was written there")
        plan = plan_in(version)
    except (InvalidInput, OSError) as error:
        return Engine(fault=str(error))
    if plan is None or plan.graph_sha256 != listed.get(MODEL_FILE):
        return Engine(fault="it was built from another graph than the one beside it")
    return Engine(plan)


def choose(model: Path, config: ModelConfig, versions: Sequence[int], server: Server) -> Choice:
    """Choose how versions of a model are loaded: by their engines, if all of them fit.

    Args:
        model: the folder of the endpoint for tensors.
        config: what its configuration says.
        versions: that are to be loaded.
        server: that loads them.

    Raises:
        InvalidInput: the model's Card cannot be read.
    """
    if config.backend != TENSORRT or not (model / CARD_FILE).is_file():
        return Choice(config)
    for version in versions:
        reason = misfit(engine_in(model / str(version)), server)
        if reason is not None:
            graph = served_by_onnx_runtime(config, card_from_file(model / CARD_FILE))
            which = f"version {version}: " if len(versions) > 1 else ""
            return Choice(graph, f"computed by ONNX Runtime, not by its engine: {which}{reason}")
    return Choice(config, "computed by its engine, in TensorRT")
