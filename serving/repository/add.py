"""Adding an exported model to a repository, while a server may be reading it: a version appears in one step
at each endpoint, and the endpoint for images after the one for tensors, which it may call.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regard.contract.names import CARD_FILE, CONFIG_FILE, LABELS_FILE, PROBABILITIES
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository.checks import (
    check_labels,
    check_name,
    check_new_model,
    check_new_version,
    check_repository,
    check_runtime,
)
from regard.serving.repository.config import (
    default_batching,
    default_instances,
    image_config,
    model_config,
    to_text,
)
from regard.serving.repository.drafts import drafting, move, writing
from regard.serving.repository.layout import endpoints_in, endpoints_of, home_of
from regard.serving.repository.lock import Report, changing, nobody
from regard.serving.repository.numbering import last_version, note_version
from regard.serving.repository.served_card import set_served_card
from regard.serving.repository.signature import Signature, read_signature
from regard.serving.repository.version_files import write_version

Endpoints = Literal["image", "tensor", "both"]


@dataclass(frozen=True)
class Added:
    """A version that was added, and the endpoints it is reached by."""

    name: str
    version: int
    folder: Path
    endpoints: tuple[str, ...]


def add(
    artifact: Artifact,
    repository: Path,
    *,
    name: str | None = None,
    instances: int | None = None,
    threads: int | None = None,
    endpoints: Endpoints | None = None,
    batching: bool | None = None,
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
        endpoints: how the model is called: with tensors, with image files, or both, the default; a new
            version is called as those before it. Each instance of each endpoint holds the weights in memory.
            Without the endpoint for tensors the one for images computes on the CPU.
        batching: whether requests that wait are worked on together, which OpenVINO cannot; by default where
            this machine has an NVIDIA GPU.
        report: is told when another change of the repository is waited for.

    Raises:
        InvalidInput: not a repository, a bad name, a precision that its runtime cannot be asked for, or a
            version that contradicts those already served.
    """
    name = artifact.card.name if name is None else name
    check_name(name)
    for setting, count in (("instances", instances), ("threads", threads)):
        if count is not None and count < 1:
            raise InvalidInput(f"{setting} must be 1 or more, got {count}")
    check_labels(artifact.card)
    check_runtime(artifact)
    signature = read_signature(artifact.model)
    if not repository.exists():
        with writing(repository):
            repository.mkdir(parents=True)
    asked = None if endpoints is None else _named(endpoints, name)
    with changing(repository, report):
        return _add(
            artifact,
            signature,
            repository,
            name,
            asked,
            instances=instances,
            threads=threads,
            batching=batching,
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
    asked = None if endpoints is None else _named(endpoints, name)
    if not repository.exists():
        return
    check_repository(repository)
    home = home_of(repository, name)
    if home is None:
        check_new_model(repository, name)
    else:
        check_new_version(home, name, artifact, read_signature(artifact.model), asked)


def _add(
    artifact: Artifact,
    signature: Signature,
    repository: Path,
    name: str,
    asked: tuple[str, ...] | None,
    *,
    instances: int | None,
    threads: int | None,
    batching: bool | None,
) -> Added:
    check_repository(repository)
    home = home_of(repository, name)
    if home is None:
        check_new_model(repository, name)
        version, present = 1, asked or endpoints_of(name)
        with drafting(repository) as draft:
            _write_model(
                artifact,
                signature,
                draft,
                name,
                present,
                instances=instances or default_instances(),
                threads=threads,
                batching=default_batching(artifact.runtime) if batching is None else batching,
            )
            note_version(draft / present[0], version, draft=draft)
            move([(draft / endpoint, repository / endpoint) for endpoint in present])
    else:
        check_new_version(home, name, artifact, signature, asked)
        version, present = last_version(home) + 1, endpoints_in(repository, name)
        with drafting(repository) as draft:
            write_version(artifact, [draft / endpoint for endpoint in present])
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
            )
    return Added(name, version, repository / present[0] / str(version), present)


def _named(endpoints: Endpoints, name: str) -> tuple[str, ...]:
    tensors, images = endpoints_of(name)
    choices = {"tensor": (tensors,), "image": (images,), "both": (tensors, images)}
    if endpoints not in choices:
        raise InvalidInput(f"endpoints must be one of {', '.join(choices)}, got {endpoints!r}")
    return choices[endpoints]


def _write_model(
    artifact: Artifact,
    signature: Signature,
    draft: Path,
    name: str,
    endpoints: tuple[str, ...],
    *,
    instances: int,
    threads: int | None,
    batching: bool,
) -> None:
    card = artifact.card
    tensors = model_config(
        name,
        card,
        signature,
        runtime=artifact.runtime,
        precision=artifact.precision,
        instances=instances,
        threads=threads,
        batching=batching,
    )
    for endpoint in endpoints:
        config = (
            tensors
            if endpoint == name
            else image_config(tensors, most=card.input.max_batch, alone=name not in endpoints)
        )
        (draft / endpoint).mkdir()
        (draft / endpoint / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")
        if card.answer.tensor == PROBABILITIES:
            lines = "".join(f"{label}\n" for label in card.answer.labels)
            (draft / endpoint / LABELS_FILE).write_text(lines, encoding="utf-8")
        (draft / endpoint / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    write_version(artifact, [draft / endpoint / "1" for endpoint in endpoints])
