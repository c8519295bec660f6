"""What is served must be what was added: a model's files, Cards, labels and configuration, held against each
other before a version is taken up.

The configuration's names, types, dimensions, batch, file and Card follow from the Card; everything else in it
- instance groups, batching, optimization, parameters, warm-up, version policy - is the operator's.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig
from tritonclient.utils import np_to_triton_dtype

from regard.contract.card import Card
from regard.contract.manifest import Manifest, check_files
from regard.contract.names import (
    CARD_FILE,
    CARD_PARAMETER,
    CONFIG_FILE,
    ENGINE_FILE,
    LABELS_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    PROBABILITIES,
)
from regard.contract.openvino_settings import FLOAT32_REFUSED
from regard.contract.reading import card_from_file, card_from_json
from regard.contract.state import StateTensor
from regard.contract.variant import Variant, variant_in
from regard.errors import InvalidInput
from regard.serving.repository.config import read_config
from regard.serving.repository.engine_checks import ENGINE_FILES
from regard.serving.repository.former import is_former
from regard.serving.repository.layout import versions_in
from regard.serving.repository.op_library import check_library
from regard.serving.repository.raw_config import STREAMED, raw_inputs
from regard.serving.repository.runtime import (
    OPENVINO,
    RAW_BACKENDS,
    STREAM_BACKEND,
    TENSORRT,
    runtime_of,
    way_of,
)

MEND = "put it back, or add the model again"
UNPROVEN = ("certificates", "tools")  # of a Card: what clients are not sent


def check_endpoint(repository: Path, endpoint: str) -> None:
    """Hold the folder of one endpoint against itself; a model that regard did not add passes, and so does one
    whose engine is missing or damaged: its graph serves (engine_choice.py).

    Raises:
        InvalidInput: a file is not what was written, or labels, Cards and configuration contradict each
            other; names what differs.
    """
    folder = repository / endpoint
    if not (folder / CARD_FILE).is_file():
        return
    card = card_from_file(folder / CARD_FILE)
    versions = versions_in(folder)
    former = is_former(repository, endpoint)
    config = read_config(folder / CONFIG_FILE)
    for version in versions:
        place = folder / str(version)
        found, variant = card_from_file(place / CARD_FILE), variant_in(place)
        _check_way(variant, config, place)
        if not former or (place / MANIFEST_FILE).is_file():
            _check_graph(found, variant, check_files(place, but=ENGINE_FILES), place)
        _check_version(found, card, place)
    if versions:
        newest = folder / str(versions[-1]) / CARD_FILE
        if card_from_file(newest) != card:
            raise InvalidInput(
                f"{folder / CARD_FILE} is not the Card of the newest version, {newest}; {MEND}"
            )
    _check_labels(folder, card)
    _check_config(config, card, folder / CONFIG_FILE)
    check_library(config, folder, versions, mend=MEND)


def callable_as(card: Card) -> dict[str, Any]:
    """What of a Card a caller notices: versions of one model share it."""
    private = {"mean", "std", "pad_to"}  # applied inside the graph
    free = {"activation", "thresholds", "threshold", "upsampling"}  # read with the version that is asked for
    return {
        "task": card.task,
        **{f"input {each.tensor}": each.model_dump(exclude=private) for each in card.inputs},
        "answer": card.answer.model_dump(exclude=free),
        "state": None if card.state is None else card.state.model_dump(),
    }


def _check_graph(card: Card, variant: Variant | None, manifest: Manifest, place: Path) -> None:
    proofs = [certificate.candidate_sha256 for certificate in card.certificates]
    if variant is not None and variant.judgement is not None:
        proofs.append(variant.judgement.variant_sha256)
    for proven in proofs:  # None before schema 2
        if proven is not None and proven != manifest.files.get(MODEL_FILE):
            raise InvalidInput(f"{place / MODEL_FILE} is not the graph that its proof names; {MEND}")


def _check_way(variant: Variant | None, config: ModelConfig, place: Path) -> None:
    if variant is None:
        variant = Variant(name="own", file=None)
    if runtime_of(config) == OPENVINO and variant.precision == "float32":
        raise InvalidInput(f"{place} computes in float32, and {FLOAT32_REFUSED}; {MEND}")
    if OPENVINO in (runtime_of(config), variant.runtime):
        wanted = f"{variant.runtime} in {variant.precision}"
        if way_of(config) != wanted:
            raise InvalidInput(f"{place} is for {wanted}, the configuration says {way_of(config)}; {MEND}")


def _check_version(found: Card, card: Card, place: Path) -> None:
    for fact, wanted in callable_as(card).items():
        if callable_as(found)[fact] != wanted:
            raise InvalidInput(
                f"{place / CARD_FILE} differs from the model's Card in {fact}; versions of a model are "
                "called alike: add it under another name"
            )


def _check_labels(folder: Path, card: Card) -> None:
    if card.answer.tensor != PROBABILITIES:
        return
    path = folder / LABELS_FILE
    try:
        labels = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}; {MEND}") from None
    for line, (found, wanted) in enumerate(zip(labels, card.answer.labels, strict=False), 1):
        if found != wanted:
            raise InvalidInput(f"{path} says {found!r} in line {line}, the Card {wanted!r}; {MEND}")
    if len(labels) != len(card.answer.labels):
        raise InvalidInput(f"{path} has {len(labels)} labels, the Card {len(card.answer.labels)}; {MEND}")


def _check_config(config: ModelConfig, card: Card, path: Path) -> None:
    found, wanted = dict(_facts(config)), dict(_wanted(card, path.parent.name, config))
    for fact, value in wanted.items():
        if found.get(fact) != value:
            raise InvalidInput(
                f"{path} says {fact} {found.get(fact, 'none')}, the Card means {value}; {MEND}"
            )
    text = config.parameters[CARD_PARAMETER].string_value if CARD_PARAMETER in config.parameters else ""
    inside = card_from_json(text or json.dumps({}), source=f"the Card in {path}")
    for field in Card.model_fields.keys() - {*UNPROVEN}:
        if getattr(inside, field) != getattr(card, field):
            raise InvalidInput(f"the Card in {path} differs from {CARD_FILE} in {field}; {MEND}")


def _facts(config: ModelConfig) -> Iterator[tuple[str, Any]]:
    yield "name", config.name
    yield "max_batch_size", config.max_batch_size
    yield "default_model_filename", config.default_model_filename
    for kind in ("input", "output"):
        for tensor in getattr(config, kind):
            yield f"{kind} {tensor.name}", (DataType.Name(tensor.data_type), [*tensor.dims])
    for tensor in config.output:
        yield f"label file of {tensor.name}", tensor.label_filename
    for state in config.sequence_batching.state:
        yield f"state {state.input_name}", (state.output_name, [*state.dims])


def _wanted(card: Card, endpoint: str, config: ModelConfig) -> Mapping[str, Any]:
    batch = [-1] if config.backend == OPENVINO else []
    taken = (
        {name: ("TYPE_STRING", [count]) for name, count in raw_inputs(card).items()}
        if config.backend in RAW_BACKENDS
        else {each.tensor: (_data_type(each.dtype), [*batch, *each.dims]) for each in card.inputs}
    )
    streams = config.backend == STREAM_BACKEND
    given = (
        {name: (DataType.Name(kind), [1]) for name, kind in STREAMED.items()}
        if streams
        else {card.answer.tensor: (_data_type(card.answer.dtype), [*batch, *_answer_dims(card)])}
    )
    return {
        "name": endpoint,
        "max_batch_size": 0 if batch else 1 if streams else card.max_batch,
        "default_model_filename": ENGINE_FILE if config.backend == TENSORRT else MODEL_FILE,
        **{f"input {name}": fact for name, fact in taken.items()},
        **{f"output {name}": fact for name, fact in given.items()},
        **({} if streams else {f"label file of {card.answer.tensor}": _label_file(card)}),
        **{f"state {each.name}": (each.next, [*each.dims]) for each in _states(card)},
    }


def _states(card: Card) -> tuple[StateTensor, ...]:
    return () if card.state is None else card.state.tensors


def _answer_dims(card: Card) -> tuple[int, ...]:
    return card.answer.tensors(*card.size)[card.answer.tensor][1]


def _label_file(card: Card) -> str:
    return LABELS_FILE if card.answer.tensor == PROBABILITIES else ""


def _data_type(dtype: np.dtype[Any]) -> str:
    return f"TYPE_{np_to_triton_dtype(dtype)}"
