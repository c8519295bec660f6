"""Snapshots of a model repository for a rollout: what is served, with a new version in place of the old one.

<deployment>/snapshots/<n>/     immutable, rising; each is there whole or not at all; what the one before it
                                has as well is the same files
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath

from regard.contract.names import CARD_FILE, CONFIG_FILE
from regard.contract.reading import card_from_file
from regard.contract.whole_folder import whole_folder
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.deploy.colours import REPOSITORY, folder_of
from regard.serving.deploy.libraries import mount_libraries
from regard.serving.deploy.model_copy import Copies, copy_model
from regard.serving.deploy.numbered import numbers_in
from regard.serving.deploy.rollout.lineage import agreement_promised, proof_in
from regard.serving.repository import Added, Endpoints, add, check_model, check_repository, remove
from regard.serving.repository.add import Accelerator, Backend
from regard.serving.repository.addable import check_called_alike
from regard.serving.repository.config import read_config
from regard.serving.repository.drafts import link_folder
from regard.serving.repository.layout import endpoints_in, home_of, model_folders, versions_in
from regard.serving.repository.numbering import last_version
from regard.serving.repository.runtime import TENSORRT, way_of

SNAPSHOTS = "snapshots"
MOUNT = PurePosixPath("/deployment")  # where the servers' containers have the deployment's folder


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What is rolled out: an artifact, and how it is served, as of `regard.serving.repository.add`."""

    artifact: Artifact
    name: str
    instances: int | None = None
    threads: int | None = None
    endpoints: Endpoints | None = None
    batching: bool | None = None
    backend: Backend | None = None
    accelerator: Accelerator | None = None


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was taken.

    Attributes:
        source: as colours.json names it.
        folder: where it is.
        added: the version that is new in it.
        before: the version that was served before it; None for a new model.
        promised: the least agreement of the two by their proofs; None where nothing promises it.
    """

    source: str
    folder: Path
    added: Added
    before: int | None
    promised: float | None


def take_snapshot(
    deployment: Path, repository: Path, source: str, addition: Addition, *, past: Iterable[str | None] = ()
) -> Snapshot:
    """Take a snapshot of what a colour serves, with a new version: in it that version alone is there of its
    model, under the next number.

    Args:
        deployment: the deployment's folder.
        repository: the model repository, which is only read.
        source: what the colour serves.
        addition: the new version.
        past: sources that there were; the number of a snapshot that is gone is not given again, since a
            colour may speak of that one still.

    Raises:
        InvalidInput: as of `add`; or a file of the source cannot be copied. Nothing was changed.
        ExportError: the snapshot cannot be written; likewise.
    """
    origin = folder_of(source, deployment=deployment, repository=repository)
    check_repository(origin)
    place = deployment / SNAPSHOTS
    gone = [int(name.removeprefix(f"{SNAPSHOTS}/")) for name in past if name not in (None, REPOSITORY)]
    number = max([*numbers_in(place), *gone], default=0) + 1
    folder = place / str(number)
    with whole_folder(folder, files=frozenset()) as draft:
        _copy(origin, draft, immutable=source != REPOSITORY)
        before = _newest(draft, addition.name)
        proof = None if before is None else proof_in(before)
        added = _exchange(draft, addition)
        promised = None if proof is None else agreement_promised(proof, proof_in(added.folder))
        for endpoint in added.endpoints:
            check_model(draft, endpoint)
        mount_libraries(draft, MOUNT / SNAPSHOTS / str(number))
    added = replace(added, folder=folder / added.folder.relative_to(draft))
    return Snapshot(
        f"{SNAPSHOTS}/{number}", folder, added, None if before is None else int(before.name), promised
    )


def bytes_to_copy(deployment: Path, repository: Path, source: str) -> int:
    """What a snapshot of a source takes on the disk, without the new version."""
    if source != REPOSITORY:
        return 0  # second names of the same files
    origin = folder_of(source, deployment=deployment, repository=repository)
    files = {}
    for path in origin.rglob("*"):
        if path.is_file():
            state = path.stat()
            files[state.st_dev, state.st_ino] = state.st_size
    return sum(files.values())


def prune(deployment: Path, kept: Iterable[str | None]) -> None:
    """Remove the snapshots that are none of these sources."""
    for number in numbers_in(deployment / SNAPSHOTS):
        if f"{SNAPSHOTS}/{number}" not in set(kept):
            shutil.rmtree(deployment / SNAPSHOTS / str(number), ignore_errors=True)


def _copy(origin: Path, draft: Path, *, immutable: bool) -> None:
    copies: Copies = {}
    for folder in model_folders(origin):
        if immutable:
            link_folder(folder, draft / folder.name)
        else:
            copy_model(folder, draft / folder.name, copies)


def _newest(repository: Path, name: str) -> Path | None:
    """The folder of a model's newest version, of one that regard added."""
    home = home_of(repository, name)
    if home is None or not (home / CARD_FILE).is_file():
        return None
    return max((home / str(version) for version in versions_in(home)), key=lambda path: int(path.name))


def _exchange(draft: Path, addition: Addition) -> Added:
    """Put the new version in the place of those that are there."""
    home = home_of(draft, addition.name)
    if home is None:
        return add_version(draft, addition)
    if _way_changes(home, addition):
        return _replace(draft, home, addition)
    old = versions_in(home)
    added = add_version(draft, addition)
    for version in old:
        remove(draft, addition.name, version=version)
    return added


def _way_changes(home: Path, addition: Addition) -> bool:
    """Whether another backend, or OpenVINO in another precision, computes the new version."""
    if not (home / CARD_FILE).is_file():
        return False  # it takes no version of ours at all
    artifact, served = addition.artifact, way_of(read_config(home / CONFIG_FILE))
    if addition.backend == TENSORRT:
        return served != TENSORRT
    if artifact.runtime == "openvino":
        return served != f"openvino in {artifact.precision}"
    return served != artifact.runtime


def _replace(draft: Path, home: Path, addition: Addition) -> Added:
    """Let the model be computed in another way, which a version beside the others cannot be: as a model that
    is added anew, called as before and under the next number, with regard's own settings.
    """
    name, number, present = addition.name, last_version(home) + 1, endpoints_in(draft, addition.name)
    check_called_alike(name, card_from_file(home / CARD_FILE), addition.artifact.card)
    if addition.endpoints is None:
        kind: Endpoints = "both" if len(present) > 1 else "tensor" if present == (name,) else "image"
        addition = replace(addition, endpoints=kind)
    remove(draft, name)
    added = add_version(draft, addition, first_version=number)
    if added.endpoints != present:
        raise InvalidInput(
            f"{name} is served through {' and '.join(present)}, and its new version would be through "
            f"{' and '.join(added.endpoints)}; add it under another name"
        )
    return added


def add_version(repository: Path, addition: Addition, *, first_version: int = 1) -> Added:
    """Add it to a repository; arguments and errors as of `add`."""
    options = {field.name: getattr(addition, field.name) for field in fields(addition)}
    return add(options.pop("artifact"), repository, first_version=first_version, **options)
