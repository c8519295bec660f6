"""How the models of a snapshot are served: by their engines, or by ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import Card
from regard.contract.manifest import write_manifest
from regard.contract.names import CARD_FILE, CONFIG_FILE, MODEL_FILE
from regard.contract.plan import Plan
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant, variant_in
from regard.contract.whole_file import write_text
from regard.errors import InvalidInput, RegardError
from regard.serving.deploy.engine_store import EngineStore
from regard.serving.repository.config import read_config, set_instances, to_text
from regard.serving.repository.dependencies import needed_by
from regard.serving.repository.engine import served_by_engine, served_by_onnx_runtime
from regard.serving.repository.engine_checks import ENGINE_FILES
from regard.serving.repository.engine_choice import engine_in, misfit
from regard.serving.repository.layout import model_folders, versions_in
from regard.serving.repository.runtime import IMAGE_BACKEND, ONNX_RUNTIME, TENSORRT, runtime_of
from regard.serving.repository.version_policy import chosen

Report = Callable[[str], None]


def serve(draft: Path, store: EngineStore, report: Report) -> dict[str, str]:
    """Give every model of a snapshot its engine, or leave it to the graph beside it; how and why, by
    endpoint.

    Raises:
        OSError: the disk is full.
    """
    ways = {}
    for folder in model_folders(draft):
        config = read_config(folder / CONFIG_FILE)
        if not (folder / CARD_FILE).is_file():
            ways[folder.name] = f"by {runtime_of(config)}, as regard did not add it"
        elif config.backend == IMAGE_BACKEND:
            _take_away_engines(folder)
            ways[folder.name] = _way_of_images(config)
        elif runtime_of(config) not in (ONNX_RUNTIME, TENSORRT):
            ways[folder.name] = f"by {runtime_of(config)}"
        else:
            ways[folder.name] = _serve(folder, config, store, report)
        report(f"{folder.name}: served {ways[folder.name]}")
    return ways


def _serve(folder: Path, config: ModelConfig, store: EngineStore, report: Report) -> str:
    card = card_from_file(folder / CARD_FILE)
    try:
        plans = [_engine_in(folder / str(each), store, report) for each in _versions(folder, config)]
        config, way = _by_engine(config, card, plans[-1]), "by its engine, in TensorRT"
    except Exception as error:  # whatever it is, the graph serves
        _take_away_engines(folder)
        if config.backend == TENSORRT:
            config = served_by_onnx_runtime(config, card)
        way = f"by ONNX Runtime, not by an engine: {_reason(error)}"
    write_text(folder / CONFIG_FILE, to_text(config))
    return way


def _versions(folder: Path, config: ModelConfig) -> tuple[int, ...]:
    """The versions that a server would load."""
    versions = chosen(config, versions_in(folder))
    if not versions:
        raise InvalidInput("its configuration serves none of its versions")
    return versions


def _engine_in(place: Path, store: EngineStore, report: Report) -> Plan:
    """The record of the engine that is beside a version's graph afterwards: its own where that fits, else the
    store's, which is built if need be.
    """
    own = engine_in(place)
    if own.plan is not None and misfit(own, store.server) is None:
        return own.plan
    variant = variant_in(place) or Variant(name="own", file=None)
    if variant.runtime != ONNX_RUNTIME:
        raise InvalidInput(f"it is for {variant.runtime}")
    graph, card = place / MODEL_FILE, card_from_file(place / CARD_FILE)
    which = f"{place.parent.name} {place.name}"
    reason = store.misfit(graph, card)
    if reason is None:
        report(f"{which}: keeps its engine of before")
    else:
        store.check_server()
        report(f"{which}: building an engine in {variant.precision}: {reason}")
        report(f"{which}: built in {store.build(graph, card, variant).seconds:.0f} s")
    _take_away_engine(place)
    return store.put(graph)


def _by_engine(config: ModelConfig, card: Card, plan: Plan) -> ModelConfig:
    """The configuration of an engine, from either configuration. Of a graph there are as many instances as
    cores, and of an engine one for each GPU, unless the configuration was an engine's already.
    """
    if config.backend == TENSORRT:
        return served_by_engine(config, card, plan)
    graph = ModelConfig()
    graph.CopyFrom(config)
    set_instances(graph, 1)
    return served_by_engine(graph, card, plan)


def _way_of_images(config: ModelConfig) -> str:
    called = needed_by(config)
    return f"on a GPU by {' and '.join(called)}" if called else "on the CPU, without an endpoint for tensors"


def _take_away_engines(folder: Path) -> None:
    for version in versions_in(folder):
        _take_away_engine(folder / str(version))


def _take_away_engine(place: Path) -> None:
    """Remove the engine of a version, if it has one, from its manifest as well."""
    files = [place / file for file in ENGINE_FILES if (place / file).exists()]
    for file in files:
        file.unlink()
    if files:
        write_manifest(place)


def _reason(error: Exception) -> str:
    if isinstance(error, RegardError):
        return str(error)
    return f"{type(error).__name__}: {error}"
