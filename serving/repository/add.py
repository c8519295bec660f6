"""Adding an exported model to a repository, while a server may be reading it: a version appears in one step,
a model after what it is made of.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from regard.contract.names import (
    CARD_FILE,
    CONFIG_FILE,
    LABELS_FILE,
    MODEL_FILE,
    PREPROCESS_STEP,
    PROBABILITIES,
)
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository.checks import (
    check_labels,
    check_name,
    check_new_model,
    check_new_version,
    check_repository,
)
from regard.serving.repository.config import (
    default_instances,
    image_config,
    model_config,
    preprocess_config,
    to_text,
)
from regard.serving.repository.drafts import drafting, writing
from regard.serving.repository.layout import endpoints_of, parts_of, versions_in
from regard.serving.repository.served_card import set_served_card
from regard.serving.repository.signature import Signature, read_signature
from regard.serving.repository.steps.image.folder import is_current, write_step


@dataclass(frozen=True)
class Added:
    """A version that was added, and the endpoints it is reached by."""

    name: str
    version: int
    folder: Path
    endpoints: tuple[str, ...]


def add(
    artifact: Artifact, repository: Path, *, name: str | None = None, instances: int | None = None
) -> Added:
    """Add an exported model to a repository, which is made if there is none: a new model, or a new version
    where `name` exists.

    Args:
        artifact: what `regard export` wrote.
        repository: the model repository.
        name: the served name; the Card's by default.
        instances: how many images or batches are worked on at the same time; by default one for each core,
            with one thread each.

    Raises:
        InvalidInput: not a repository, a bad name, or a version that contradicts those already served.
    """
    name = artifact.card.name if name is None else name
    check_name(name)
    if instances is not None and instances < 1:
        raise InvalidInput(f"instances must be 1 or more, got {instances}")
    check_labels(artifact.card)
    signature = read_signature(artifact.model)
    if not repository.exists():
        with writing(repository):
            repository.mkdir(parents=True)
    check_repository(repository)
    model = repository / name
    if model.exists():
        check_new_version(model, artifact.card, signature)
        version = _add_version(artifact, model, instances)
    else:
        check_new_model(model)
        version = _add_model(artifact, signature, model, instances or default_instances())
    return Added(name, version, model / str(version), endpoints_of(name))


def _add_model(artifact: Artifact, signature: Signature, model: Path, instances: int) -> int:
    repository, name = model.parent, model.name
    with drafting(repository) as draft:
        _write_model(artifact, signature, draft / name, instances)
        for part in parts_of(name):
            os.rename(draft / part, repository / part)
    return 1


def _write_model(artifact: Artifact, signature: Signature, model: Path, instances: int) -> None:
    name, card = model.name, artifact.card
    preprocess, _, image = (model.with_name(part) for part in parts_of(name))
    configs = {
        preprocess: preprocess_config(name, card, signature, instances=instances),
        model: model_config(name, card, signature, instances=instances),
        image: image_config(name, card, signature),
    }
    for part, config in configs.items():
        part.mkdir()
        (part / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")
    write_step(preprocess / "1", card)
    _write_version(artifact, model / "1")
    if card.answer.tensor == PROBABILITIES:
        lines = "".join(f"{label}\n" for label in card.answer.labels)
        (model / LABELS_FILE).write_text(lines, encoding="utf-8")
    (model / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    (image / "1").mkdir()
    (image / "1" / ".keep").touch()  # git and object stores drop empty folders, and the server needs this one


def _add_version(artifact: Artifact, model: Path, instances: int | None) -> int:
    repository, name = model.parent, model.name
    version = max(versions_in(model), default=0) + 1
    with drafting(repository) as draft:
        _write_version(artifact, draft / "version")
        step = repository / (name + PREPROCESS_STEP)
        if step.exists():
            newest = max(versions_in(step), default=0)
            if not is_current(step / str(newest)):  # another regard added the model
                write_step(draft / "step", artifact.card)
                os.rename(draft / "step", step / str(newest + 1))
        os.rename(draft / "version", model / str(version))
        set_served_card(repository, name, artifact.card, draft=draft, instances=instances)
    return version


def _write_version(artifact: Artifact, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(artifact.model, folder / MODEL_FILE)
    (folder / CARD_FILE).write_text(artifact.card.to_json(), encoding="utf-8")
