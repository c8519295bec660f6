"""What may be added to what is served already."""

import re
from collections.abc import Mapping
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import NAME_PATTERN, Card
from regard.contract.names import CARD_FILE, CONFIG_FILE, LABELS_FILE, OWN_SUFFIXES, PROBABILITIES
from regard.contract.openvino_settings import FLOAT32_REFUSED
from regard.contract.plan import Plan
from regard.contract.reading import card_from_file
from regard.contract.variant import variant_in
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository.accelerators import asks_for
from regard.serving.repository.config import model_config, read_config
from regard.serving.repository.former import is_former
from regard.serving.repository.integrity import callable_as
from regard.serving.repository.layout import endpoints_in, parts_of, versions_in
from regard.serving.repository.raw_config import raw_config
from regard.serving.repository.runtime import ONNX_RUNTIME, OPENVINO, TENSORRT, way_of
from regard.serving.repository.signature import Signature


def check_name(name: str) -> None:
    """Refuse a name that a model cannot be served by.

    Raises:
        InvalidInput: it breaks NAME_PATTERN, or ends as a model's own parts do.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidInput(
            "a model's name is 1 to 128 letters, digits, '_', '-' or '.', and starts with a letter or "
            f"digit; got {name!r}"
        )
    for suffix in OWN_SUFFIXES:
        if name.endswith(suffix):
            raise InvalidInput(
                f"a model's name must not end in {suffix}, which names its own parts; got {name!r}"
            )


def check_labels(card: Card) -> None:
    """Refuse labels that Triton's file of them cannot hold.

    Raises:
        InvalidInput: a label is empty or has several lines.
    """
    if card.answer.tensor != PROBABILITIES:
        return
    broken = [label for label in card.answer.labels if len(label.splitlines()) != 1]
    if broken:
        raise InvalidInput(
            f"a label is one line of {LABELS_FILE}, got {broken[0]!r}; correct the Card's labels"
        )


def check_new_model(repository: Path, name: str) -> None:
    """Refuse a new model one of whose parts would need a folder that is there.

    Raises:
        InvalidInput: the repository holds one.
    """
    taken = [part for part in parts_of(name) if (repository / part).exists()]
    if taken:
        raise InvalidInput(
            f"{repository} already holds {taken[0]}, which {name} needs for itself; choose another name"
        )


def check_runtime(artifact: Artifact, backend: str | None = None, accelerator: str | None = None) -> None:
    """Refuse a precision that no configuration can ask its runtime for, and a backend or an accelerator that
    is not the artifact's to choose.

    Raises:
        InvalidInput: float32 in OpenVINO, bf16 in ONNX Runtime, an unknown backend or accelerator, another
            backend than a variant's, or an accelerator without ONNX Runtime.
    """
    for setting, value, known in (
        ("backend", backend, (ONNX_RUNTIME, TENSORRT)),
        ("accelerator", accelerator, (TENSORRT,)),
    ):
        if value is not None and value not in known:
            raise InvalidInput(f"{setting} must be one of {', '.join(known)}, got {value!r}")
    if artifact.runtime != ONNX_RUNTIME and (backend or accelerator):
        raise InvalidInput(
            f"{artifact.folder} is for {artifact.runtime} alone; leave backend and accelerator out"
        )
    if backend == TENSORRT and accelerator:
        raise InvalidInput("an engine needs no accelerator, which is ONNX Runtime's; leave one of them out")
    check_computed_by(artifact.card, backend or accelerator or artifact.runtime)
    if artifact.runtime == "openvino" and artifact.precision == "float32":
        raise InvalidInput(f"{artifact.folder} is for openvino in float32, and {FLOAT32_REFUSED}")
    if artifact.runtime == "onnxruntime" and artifact.precision == "bf16":
        raise InvalidInput(f"{artifact.folder} is for onnxruntime in bf16, which is OpenVINO's alone")


def check_computed_by(card: Card, runtime: str) -> None:
    """Refuse a runtime that was never tried on what a Card takes or answers.

    Raises:
        InvalidInput: TensorRT for more than one image, OpenVINO for sessions.
    """
    alone = [each.kind for each in card.inputs] == ["image"] and card.state is None
    if runtime == TENSORRT and not (alone and card.answer.kind != "sequence"):
        raise InvalidInput(
            f"TensorRT is for models of one image that answer at once, and {card.name} is for {card.task}"
            f"{' in sessions' if card.state else ''}; leave backend and accelerator out, and ONNX Runtime "
            "computes it"
        )
    if runtime == OPENVINO and card.state is not None:
        raise InvalidInput(
            f"{card.name} keeps a state, which its sessions leave to ONNX Runtime; add the artifact itself"
        )


def check_new_version(
    home: Path,
    name: str,
    artifact: Artifact,
    signature: Signature,
    endpoints: tuple[str, ...] | None,
    *,
    engine: Plan | None,
    accelerator: str | None,
) -> None:
    """Refuse a version that a model cannot take up.

    Versions of one model are interchangeable: whoever sends images must not notice which one answers.

    Args:
        home: the model's folder, see `home_of`.
        name: the model's.
        artifact: the version's.
        signature: of its graph.
        endpoints: those that were asked for; None for those that are there.
        engine: that is to serve, if any.
        accelerator: that was asked for; None for what is there.

    Raises:
        InvalidInput: regard did not add the model, an earlier regard laid it out, or the version differs in
            runtime, task, contracts, tensors or endpoints.
    """
    if not (home / CARD_FILE).is_file():
        raise InvalidInput(f"{home} was not added by regard (no {CARD_FILE}); choose another name")
    repository = home.parent
    if is_former(repository, name):
        raise InvalidInput(
            f"{name} lies in {repository} as an earlier regard left it, and takes no new version like that; "
            f"bring it to the present layout first: regard repo renew {name}"
        )
    present = endpoints_in(repository, name)
    if endpoints is not None and endpoints != present:
        raise InvalidInput(
            f"a new version of {name} is served as the old one, through {' and '.join(present)}, not "
            f"{' and '.join(endpoints)}; add it under another name, or remove {name} first"
        )
    served, old, card = read_config(home / CONFIG_FILE), card_from_file(home / CARD_FILE), artifact.card
    wanted = model_config(
        name,
        card,
        signature,
        runtime=artifact.runtime,
        precision=artifact.precision,
        instances=1,
        batching=False,
    )
    way = way_of(wanted) if engine is None else TENSORRT
    if way_of(served) != way:
        raise InvalidInput(
            f"all versions of {name} are computed by {way_of(served)}, and this one is for {way}; "
            f"add it under another name, or remove {name} first"
        )
    if accelerator or asks_for(served, TENSORRT):
        _check_precision(home, name, artifact)
    check_called_alike(name, old, card)
    if home.name != name:
        wanted = raw_config(wanted, card, alone=True)
    tensors = {
        "inputs": (_tensors(served, "input"), _tensors(wanted, "input")),
        "outputs": (_tensors(served, "output"), _tensors(wanted, "output")),
    }
    _check_same(name, tensors)


def check_called_alike(name: str, old: Card, card: Card) -> None:
    """Refuse a version that a caller would have to call otherwise than the one before it.

    Args:
        name: the model's.
        old: the served Card.
        card: the version's.

    Raises:
        InvalidInput: it differs in task or contracts.
    """
    after = callable_as(card)
    _check_same(name, {fact: (before, after[fact]) for fact, before in callable_as(old).items()})


def _check_same(name: str, facts: Mapping[str, tuple[object, object]]) -> None:
    """facts: by name, of the version before and of the new one."""
    for fact, (before, after) in facts.items():
        if before != after:
            raise InvalidInput(
                f"a new version of {name} must be called as the old one: its {fact} is "
                f"{_difference(after, before)}. Add it under another name, or remove {name} first."
            )


def _check_precision(home: Path, name: str, artifact: Artifact) -> None:
    """Refuse another precision than the newest version's: one configuration tells TensorRT that of all."""
    for version in versions_in(home)[-1:]:
        before = variant_in(home / str(version))
        precision = "float32" if before is None else before.precision
        if precision != artifact.precision:
            raise InvalidInput(
                f"TensorRT computes all versions of {name} in one precision, so far {precision}, and this "
                f"one is in {artifact.precision}; add it under another name, or remove {name} first"
            )


def _tensors(config: ModelConfig, kind: str) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in getattr(config, kind)}


def _difference(after: object, before: object) -> str:
    if isinstance(after, dict) and isinstance(before, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        after, before = ({key: side.get(key) for key in keys} for side in (after, before))
    return f"{after}, not {before}"
