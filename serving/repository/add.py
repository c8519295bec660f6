"""Adding an exported model to a repository, while a server may be reading it: a version appears in one step
at each endpoint, and the endpoint for images after the one for tensors, which it may call.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import Card
from regard.contract.names import CARD_FILE, CONFIG_FILE, LABELS_FILE, PROBABILITIES, SEQUENCE
from regard.contract.plan import Plan
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, read_graph
from regard.export.graph.step_graphs import StepGraphs, cut
from regard.serving.repository.accelerators import accelerate
from regard.serving.repository.addable import (
    check_labels,
    check_name,
    check_new_model,
    check_new_version,
    check_runtime,
)
from regard.serving.repository.checks import check_repository
from regard.serving.repository.config import (
    default_batching,
    default_instances,
    model_config,
    set_instances,
    to_text,
)
from regard.serving.repository.drafts import drafting, move, writing
from regard.serving.repository.engine import served_by_engine
from regard.serving.repository.engine_checks import engine_of
from regard.serving.repository.layout import (
    endpoints_in,
    home_of,
    raw_endpoint,
    stream_endpoint,
)
from regard.serving.repository.lock import Report, changing, nobody
from regard.serving.repository.numbering import last_version, note_version
from regard.serving.repository.op_library import set_library
from regard.serving.repository.raw_config import raw_config, stream_config
from regard.serving.repository.runtime import ONNX_RUNTIME, TENSORRT
from regard.serving.repository.served_card import set_served_card
from regard.serving.repository.signature import Signature, read_signature
from regard.serving.repository.version_files import write_version

Endpoints = Literal["image", "text", "tensor", "both"]
Backend = Literal["onnxruntime", "tensorrt"]
Accelerator = Literal["tensorrt"]


@dataclass(frozen=True)
class Added:
    """A version that was added, the endpoints it is reached by, and its engine where that is to serve."""

    name: str
    version: int
    folder: Path
    endpoints: tuple[str, ...]
    engine: Plan | None


def add(
    artifact: Artifact,
    repository: Path,
    *,
    name: str | None = None,
    instances: int | None = None,
    threads: int | None = None,
    endpoints: Endpoints | None = None,
    batching: bool | None = None,
    backend: Backend | None = None,
    accelerator: Accelerator | None = None,
    first_version: int = 1,
    report: Report = nobody,
) -> Added:
    """Add an exported model to a repository, which is made if there is none: a new model, or a new version
    where `name` exists.

    Args:
        artifact: what `regard export` wrote, or a variant of it.
        repository: the model repository.
        name: the served name; the Card's by default.
        instances: how many images or batches each endpoint works on at the same time; by default one for
            each core.
        threads: that one of them computes with; by default the cores are shared out.
        endpoints: how the model is called: with tensors, with image files (with texts, where it takes no
            image), or both, the default; a new version is called as those before it. Each instance of each
            endpoint holds the weights in memory. Without the endpoint for tensors the one for images computes
            on the CPU. A model that answers in words has one more beside that for images or texts, where its
            graph can be cut into steps: `<name>_stream` answers word by word.
        batching: whether requests that wait are worked on together, which OpenVINO and sessions cannot; by
            default where this machine has an NVIDIA GPU.
        backend: what computes the answers: ONNX Runtime, or NVIDIA's `tensorrt` backend by the engine beside
            the graph, with one instance for each GPU by default; where that engine cannot be loaded, ONNX
            Runtime still. By default ONNX Runtime, or the runtime that a variant is for.
        accelerator: what ONNX Runtime hands the graph to on a GPU, where it is there.
        first_version: the number of a new model's version.
        report: is told when another change of the repository is waited for.

    Raises:
        InvalidInput: not a repository, a bad name, a precision that its runtime cannot be asked for, no
            engine that fits the graph, its Card and the Triton that serves, or a version that contradicts
            those already served.
    """
    name = artifact.card.name if name is None else name
    check_name(name)
    for setting, count in (("instances", instances), ("threads", threads)):
        if count is not None and count < 1:
            raise InvalidInput(f"{setting} must be 1 or more, got {count}")
    check_labels(artifact.card)
    check_runtime(artifact, backend, accelerator)
    signature = read_signature(artifact.model)
    engine = engine_of(artifact, signature) if backend == TENSORRT else None
    asked = None if endpoints is None else _named(endpoints, name, artifact.card)
    if engine is not None and asked is not None and name not in asked:
        raise InvalidInput(
            f"an engine answers at the endpoint for tensors, which that for images asks: serve {name} by both"
        )
    if not repository.exists():
        with writing(repository):
            repository.mkdir(parents=True)
    with changing(repository, report):
        return _add(
            artifact,
            signature,
            repository,
            name,
            asked,
            engine,
            instances=instances,
            threads=threads,
            batching=batching,
            accelerator=accelerator,
            first_version=first_version,
        )


def check_addable(
    artifact: Artifact, repository: Path, *, name: str | None = None, endpoints: Endpoints | None = None
) -> None:
    """Refuse early what `add` would refuse, with the same arguments.

    Raises:
        InvalidInput: as of `add`.
    """
    name = artifact.card.name if name is None else name
    check_name(name)
    check_labels(artifact.card)
    check_runtime(artifact)
    asked = None if endpoints is None else _named(endpoints, name, artifact.card)
    if not repository.exists():
        return
    check_repository(repository)
    home = home_of(repository, name)
    if home is None:
        check_new_model(repository, name)
    else:
        signature = read_signature(artifact.model)
        check_new_version(home, name, artifact, signature, asked, engine=None, accelerator=None)


def _add(
    artifact: Artifact,
    signature: Signature,
    repository: Path,
    name: str,
    asked: tuple[str, ...] | None,
    engine: Plan | None,
    *,
    instances: int | None,
    threads: int | None,
    batching: bool | None,
    accelerator: Accelerator | None,
    first_version: int,
) -> Added:
    check_repository(repository)
    home = home_of(repository, name)
    if home is None:
        check_new_model(repository, name)
        version, present = first_version, asked or _named("both", name, artifact.card)
        steps = _steps(artifact, present)
        if steps is not None:
            present = (*present, stream_endpoint(name))
        config = model_config(
            name,
            artifact.card,
            signature,
            runtime=artifact.runtime,
            precision=artifact.precision,
            instances=instances or default_instances(),
            threads=threads,
            batching=default_batching(artifact.runtime, artifact.card) if batching is None else batching,
        )
        if accelerator is not None:
            accelerate(config, artifact.card, artifact.precision)
        with drafting(repository) as draft:
            _write_model(artifact, config, engine, steps, draft, name, present, version, instances=instances)
            note_version(draft / present[0], version, draft=draft)
            move([(draft / endpoint, repository / endpoint) for endpoint in present])
    else:
        check_new_version(home, name, artifact, signature, asked, engine=engine, accelerator=accelerator)
        version, present = last_version(home) + 1, endpoints_in(repository, name)
        with drafting(repository) as draft:
            folders = [draft / endpoint for endpoint in present]
            write_version(artifact, folders, engine=engine is not None, steps=_steps(artifact, present))
            move([(draft / endpoint, repository / endpoint / str(version)) for endpoint in present])
            note_version(home, version, draft=draft)
            set_served_card(
                repository,
                name,
                artifact.card,
                draft=draft,
                instances=instances,
                threads=threads,
                batching=batching,
                engine=engine,
                accelerated=None if accelerator is None else artifact.precision,
            )
    return Added(name, version, repository / present[0] / str(version), present, engine)


def _named(endpoints: Endpoints, name: str, card: Card) -> tuple[str, ...]:
    raw = raw_endpoint(name, card)
    choices = {"tensor": (name,), "image" if card.pixels else "text": (raw,), "both": (name, raw)}
    if endpoints not in choices:
        raise InvalidInput(f"endpoints of {name} must be one of {', '.join(choices)}, got {endpoints!r}")
    return choices[endpoints]


def _steps(artifact: Artifact, endpoints: tuple[str, ...]) -> StepGraphs | None:
    """The graphs that a stream of words runs, where one is served and the graph can be cut into them."""
    if artifact.card.answer.tensor != SEQUENCE or artifact.runtime != ONNX_RUNTIME or len(endpoints) < 2:
        return None
    return cut(read_graph(artifact.model))


def _write_model(
    artifact: Artifact,
    config: ModelConfig,
    engine: Plan | None,
    steps: StepGraphs | None,
    draft: Path,
    name: str,
    endpoints: tuple[str, ...],
    version: int,
    *,
    instances: int | None,
) -> None:
    card = artifact.card
    # it asks the endpoint for tensors on a GPU, whatever computes there
    configs = {raw_endpoint(name, card): raw_config(config, card, alone=name not in endpoints)}
    if steps is not None:
        configs[stream_endpoint(name)] = stream_config(config, card)
    if engine is not None:
        set_instances(config, instances or 1)
        config = served_by_engine(config, card, engine)
    configs[name] = config
    for endpoint in endpoints:
        chosen = configs[endpoint]
        set_library(chosen, None if artifact.operators is None else version)
        (draft / endpoint).mkdir()
        (draft / endpoint / CONFIG_FILE).write_text(to_text(chosen), encoding="utf-8")
        if card.answer.tensor == PROBABILITIES:
            lines = "".join(f"{label}\n" for label in card.answer.labels)
            (draft / endpoint / LABELS_FILE).write_text(lines, encoding="utf-8")
        (draft / endpoint / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    folders = [draft / endpoint / str(version) for endpoint in endpoints]
    write_version(artifact, folders, engine=engine is not None, steps=steps)
