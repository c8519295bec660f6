"""Adding to a model repository, removing from it and listing it, while a server may be reading it.

    <repository>/<name>/{config.pbtxt,labels.txt,card.json,1/{model.onnx,card.json}}
    <repository>/<name>_preprocess/{config.pbtxt,1/{model.py,preprocess.py,card.json,__pycache__}}
    <repository>/<name>_image/{config.pbtxt,1/.keep}

Everything is written to a hidden draft folder beside the repository
(inside, the server would take it for a model) and appears by
renames: a version in one step, a model after what it is made of.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract import preprocess
from regard.contract.card import NAME_PATTERN, Card, card_from_file
from regard.contract.names import (
    CARD_FILE,
    CONFIG_FILE,
    IMAGE_ENDPOINT,
    LABELS_FILE,
    MODEL_FILE,
    OWN_SUFFIXES,
    PREPROCESS_STEP,
)
from regard.errors import InvalidInput, UnknownName
from regard.serving.repository.config import (
    image_config,
    model_config,
    preprocess_config,
    read_config,
    set_card,
    set_instances,
    to_text,
)
from regard.serving.repository.graph import read_graph
from regard.serving.triton import preprocess as server_step

if TYPE_CHECKING:
    # for annotations only: it imports torch, which a server has no need of
    from regard.export.artifact import Artifact

STEP_FILES = {
    "model.py": Path(server_step.__file__).with_name("model.py"),
    "preprocess.py": Path(preprocess.__file__),
}
MAX_INSTANCES = 8  # each holds the weights in memory; where there are more cores, each gets several


@dataclass(frozen=True)
class Added:
    """A version that was added, and the endpoints it is reached by."""

    name: str
    version: int
    folder: Path
    endpoints: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One model of a repository. `card` is None for a model that regard did not add."""

    name: str
    versions: tuple[int, ...]
    endpoints: tuple[str, ...]
    backend: str
    max_batch: int
    card: Card | None


def add(
    artifact: "Artifact", repository: Path, *, name: str | None = None, instances: int | None = None
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
    name = _checked_name(artifact.card.name if name is None else name)
    if instances is not None and instances < 1:
        raise InvalidInput(f"instances must be 1 or more, got {instances}")
    _check_labels(artifact.card)
    if not repository.exists():
        with _written(repository):
            repository.mkdir(parents=True)
    check_repository(repository)
    with _draft(repository) as draft, _written(repository):
        if (repository / name).exists():
            version = _add_version(artifact, repository, draft, name, instances)
        else:
            version = _add_model(artifact, repository, draft, name, instances)
    return Added(name, version, repository / name / str(version), (name, name + IMAGE_ENDPOINT))


def remove(repository: Path, name: str, *, version: int | None = None) -> None:
    """Remove a model with both its endpoints, or one version of it.

    Raises:
        InvalidInput: not a repository, or the version is the only one.
        UnknownName: no such model or version.
    """
    entry = _find(repository, name)
    with _draft(repository) as trash, _written(repository):
        if version is None:
            for part in (
                name + IMAGE_ENDPOINT,
                name,
                name + PREPROCESS_STEP,
            ):  # never an ensemble without its parts
                if (repository / part).exists():
                    os.rename(repository / part, trash / part)
            return
        if version not in entry.versions:
            raise UnknownName.among(f"version of {name}", str(version), map(str, entry.versions))
        others = [other for other in entry.versions if other != version]
        if not others:
            raise InvalidInput(
                f"{version} is the only version of {name}; remove the whole model by leaving --version out"
            )
        if version > max(others) and entry.card is not None:
            _describe(
                repository,
                trash,
                name,
                card_from_file(repository / name / str(max(others)) / CARD_FILE),
                None,
            )
        os.rename(repository / name / str(version), trash / "version")


def listing(repository: Path) -> list[Entry]:
    """The models of a repository by name; a model's image endpoint and preprocessing are part of its entry.

    Raises:
        InvalidInput: not a repository, or a model's configuration or Card cannot be read.
    """
    check_repository(repository)
    names = {folder.name for folder in _model_folders(repository)}
    parts = {name + suffix for name in names for suffix in OWN_SUFFIXES}
    entries = []
    for name in sorted(names - parts):
        folder = repository / name
        config = read_config(folder / CONFIG_FILE)
        card = card_from_file(folder / CARD_FILE) if (folder / CARD_FILE).exists() else None
        endpoints = tuple(endpoint for endpoint in (name, name + IMAGE_ENDPOINT) if endpoint in names)
        entries.append(
            Entry(
                name,
                tuple(_versions(folder)),
                endpoints,
                config.backend or config.platform,
                config.max_batch_size,
                card,
            )
        )
    return entries


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
    for folder in _model_folders(repository):
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
    if not may_be_empty and not _model_folders(repository):
        raise InvalidInput(
            f"{repository} holds no model; add one with: regard repo add ARTIFACT --repository {repository}"
        )


def _add_model(artifact: "Artifact", repository: Path, draft: Path, name: str, instances: int | None) -> int:
    card, graph = artifact.card, read_graph(artifact.model)
    cores = len(os.sched_getaffinity(0))
    count = instances or min(cores, MAX_INSTANCES)
    configs = (
        preprocess_config(name, card, graph, instances=count),
        model_config(name, card, graph, instances=count, threads=max(1, cores // count)),
        image_config(name, card, graph),
    )
    taken = [config.name for config in configs if (repository / config.name).exists()]
    if taken:
        raise InvalidInput(
            f"{repository} already holds {taken[0]}, which {name} needs for itself; choose another --name"
        )
    for config in configs:
        (draft / config.name).mkdir()
        (draft / config.name / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")
    _fill_step(draft / (name + PREPROCESS_STEP) / "1", card)
    _fill_version(draft / name / "1", artifact)
    if card.task == "classification":
        (draft / name / LABELS_FILE).write_text(
            "".join(f"{label}\n" for label in card.output.labels), encoding="utf-8"
        )
    (draft / name / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    (draft / (name + IMAGE_ENDPOINT) / "1").mkdir()
    # git and object stores drop empty folders, and the server needs this one
    (draft / (name + IMAGE_ENDPOINT) / "1" / ".keep").touch()
    for config in configs:  # the ensemble last
        os.rename(draft / config.name, repository / config.name)
    return 1


def _add_version(
    artifact: "Artifact", repository: Path, draft: Path, name: str, instances: int | None
) -> int:
    folder = repository / name
    _check_compatible(artifact, folder, name)
    version = max(_versions(folder), default=0) + 1
    _fill_version(draft / str(version), artifact)
    step = repository / (name + PREPROCESS_STEP)
    if step.exists():
        newest = max(_versions(step), default=0)
        if any(
            (step / str(newest) / file).read_bytes() != source.read_bytes()
            for file, source in STEP_FILES.items()
        ):
            # this regard decodes otherwise than the one that added the model
            _fill_step(draft / "step", artifact.card)
            os.rename(draft / "step", step / str(newest + 1))
    os.rename(draft / str(version), folder / str(version))
    _describe(repository, draft, name, artifact.card, instances)
    return version


def _describe(repository: Path, draft: Path, name: str, card: Card, instances: int | None) -> None:
    """Make the Card of the version that is now the newest the one that clients read; other settings stay as
    they are.
    """
    files = {f"{name}/{CARD_FILE}": card.to_json()}
    for endpoint in (name, name + IMAGE_ENDPOINT):
        if (repository / endpoint).exists():
            config = read_config(repository / endpoint / CONFIG_FILE)
            set_card(config, card)
            if instances is not None and endpoint == name:
                set_instances(config, instances, max(1, len(os.sched_getaffinity(0)) // instances))
            files[f"{endpoint}/{CONFIG_FILE}"] = to_text(config)
    _replace(repository, draft, files)


def _replace(repository: Path, draft: Path, files: Mapping[str, str]) -> None:
    for file, text in files.items():
        if (repository / file).read_text(encoding="utf-8") != text:
            (draft / "file").write_text(text, encoding="utf-8")
            os.replace(draft / "file", repository / file)


def _check_compatible(artifact: "Artifact", folder: Path, name: str) -> None:
    """Versions of one model are interchangeable: whoever sends images must not notice which one answers."""
    config, new = read_config(folder / CONFIG_FILE), artifact.card
    if not (folder / CARD_FILE).is_file():
        raise InvalidInput(f"{folder} was not added by regard (no {CARD_FILE}); choose another --name")
    old = card_from_file(folder / CARD_FILE)
    wanted = model_config(name, new, read_graph(artifact.model), instances=1, threads=1)
    private = {"mean", "std"}  # applied inside the graph
    facts = {
        "task": (old.task, new.task),
        "input contract": (old.input.model_dump(exclude=private), new.input.model_dump(exclude=private)),
        "output contract": (old.output.model_dump(), new.output.model_dump()),
        "inputs": (_tensors(config, "input"), _tensors(wanted, "input")),
        "outputs": (_tensors(config, "output"), _tensors(wanted, "output")),
    }
    for fact, (before, after) in facts.items():
        if before != after:
            raise InvalidInput(
                f"a new version of {name} must be called as the old one: its {fact} is "
                f"{_difference(after, before)}. Add it under another --name, or remove {name} first."
            )


def _tensors(config: ModelConfig, kind: str) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in getattr(config, kind)}


def _difference(after: object, before: object) -> str:
    if isinstance(after, dict) and isinstance(before, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        after, before = ({key: side.get(key) for key in keys} for side in (after, before))
    return f"{after}, not {before}"


def _fill_version(folder: Path, artifact: "Artifact") -> None:
    folder.mkdir()
    shutil.copyfile(artifact.model, folder / MODEL_FILE)
    (folder / CARD_FILE).write_text(artifact.card.to_json(), encoding="utf-8")


def _fill_step(folder: Path, card: Card) -> None:
    folder.mkdir()
    for file, source in STEP_FILES.items():
        shutil.copyfile(source, folder / file)
    # where Python would cache bytecode; the server cannot be told not to, and a watching one would take the
    # cache for a change and reload
    (folder / "__pycache__").touch()
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def _find(repository: Path, name: str) -> Entry:
    entries = {entry.name: entry for entry in listing(repository)}
    if name not in entries:
        raise UnknownName.among("model", name, entries)
    return entries[name]


def _model_folders(repository: Path) -> list[Path]:
    return sorted(path for path in repository.iterdir() if path.is_dir())


def _versions(folder: Path) -> list[int]:
    return sorted(
        int(path.name) for path in folder.iterdir() if path.is_dir() and re.fullmatch(r"[1-9]\d*", path.name)
    )


def _checked_name(name: str) -> str:
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
    return name


def _check_labels(card: Card) -> None:
    broken = [label for label in card.output.labels if len(label.splitlines()) != 1]
    if broken:
        raise InvalidInput(
            f"a label is one line of {LABELS_FILE}, got {broken[0]!r}; correct the Card's labels"
        )


@contextmanager
def _draft(repository: Path) -> Iterator[Path]:
    """A hidden folder beside the repository and on its disk, so that what is finished moves into it by a
    rename.
    """
    place = repository.resolve()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.draft-", dir=place.parent))
    except OSError as error:
        raise InvalidInput(
            f"cannot write to {place.parent}, where drafts for {repository} are kept: {error.strerror}"
        ) from None
    try:
        if folder.stat().st_dev != place.stat().st_dev:
            raise InvalidInput(
                f"{place} is a mount point, and a model must appear there by a rename; use a folder inside "
                "it as repository"
            )
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _written(repository: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"cannot write {error.filename or repository}: {error.strerror}; nothing half-written was made "
            "visible"
        ) from None
