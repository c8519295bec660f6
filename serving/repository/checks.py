"""What may be served, and what may be added to what is served already."""

import re
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import NAME_PATTERN, Card
from regard.contract.names import CARD_FILE, CONFIG_FILE, LABELS_FILE, OWN_SUFFIXES
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput
from regard.serving.repository.config import model_config, read_config
from regard.serving.repository.layout import model_folders, parts_of
from regard.serving.repository.signature import Signature


def check_repository(repository: Path) -> None:
    """Refuse a folder that is not a model repository.

    Raises:
        InvalidInput: it does not exist, is a file, or holds folders that are no models.
    """
    if not repository.is_dir():
        what = "is a file" if repository.exists() else "does not exist"
        raise InvalidInput(
            f"{repository} {what}; a model repository is a folder that `regard repo add` makes and fills"
        )
    for folder in model_folders(repository):
        if not (folder / CONFIG_FILE).is_file():
            raise InvalidInput(
                f"{repository} is not a model repository: its folder {folder.name} has no {CONFIG_FILE}. "
                "Name a repository, or a new folder for `regard repo add` to make."
            )


def check_servable(repository: Path, *, may_be_empty: bool) -> None:
    """Refuse what a server could not serve.

    Raises:
        InvalidInput: not a repository, or one without models.
    """
    check_repository(repository)
    if not may_be_empty and not model_folders(repository):
        raise InvalidInput(f"{repository} holds no model; add one with: regard repo add")


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
    broken = [label for label in card.answer.labels if len(label.splitlines()) != 1]
    if broken:
        raise InvalidInput(
            f"a label is one line of {LABELS_FILE}, got {broken[0]!r}; correct the Card's labels"
        )


def check_new_model(model: Path) -> None:
    """Refuse a new model, by its folder to be, one of whose parts would need a folder that is there.

    Raises:
        InvalidInput: the repository holds one.
    """
    taken = [part for part in parts_of(model.name) if model.with_name(part).exists()]
    if taken:
        raise InvalidInput(
            f"{model.parent} already holds {taken[0]}, which {model.name} needs for itself; choose another "
            "name"
        )


def check_new_version(model: Path, card: Card, signature: Signature) -> None:
    """Refuse a version that a model, by its folder, cannot take up.

    Versions of one model are interchangeable: whoever sends images must not notice which one answers.

    Raises:
        InvalidInput: regard did not add the model, or the version differs in task, contracts or tensors.
    """
    if not (model / CARD_FILE).is_file():
        raise InvalidInput(f"{model} was not added by regard (no {CARD_FILE}); choose another name")
    served, old = read_config(model / CONFIG_FILE), card_from_file(model / CARD_FILE)
    wanted = model_config(model.name, card, signature, instances=1)
    private = {"mean", "std", "pad_to"}  # applied inside the graph
    free = {"activation", "thresholds", "threshold"}  # a client reads them with the version that it asks for
    facts = {
        "task": (old.task, card.task),
        "input contract": (old.input.model_dump(exclude=private), card.input.model_dump(exclude=private)),
        "answer": (old.answer.model_dump(exclude=free), card.answer.model_dump(exclude=free)),
        "inputs": (_tensors(served, "input"), _tensors(wanted, "input")),
        "outputs": (_tensors(served, "output"), _tensors(wanted, "output")),
    }
    for fact, (before, after) in facts.items():
        if before != after:
            raise InvalidInput(
                f"a new version of {model.name} must be called as the old one: its {fact} is "
                f"{_difference(after, before)}. Add it under another name, or remove {model.name} first."
            )


def _tensors(config: ModelConfig, kind: str) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in getattr(config, kind)}


def _difference(after: object, before: object) -> str:
    if isinstance(after, dict) and isinstance(before, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        after, before = ({key: side.get(key) for key in keys} for side in (after, before))
    return f"{after}, not {before}"
