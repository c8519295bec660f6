"""Verifying a model that is served: its goldens are those of the repository's version, or of the artifact."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.contract.card import Card
from regard.contract.goldens import ANSWERS_FILE, Golden, read_goldens
from regard.contract.names import CARD_FILE, GOLDENS, model_of
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant, variant_in
from regard.errors import InvalidInput, UnknownName
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.explain import explained
from regard.serving.protocol.wire import Fault
from regard.serving.verify.endpoint_runner import TIMEOUT
from regard.serving.verify.endpoints import ENDPOINTS, Endpoint, endpoint_of, name_of
from regard.serving.verify.goldens import Verification, verify


def verify_served(
    connection: Connection, model: str, *, repository: Path, artifact: Path | None = None
) -> Verification:
    """Verify the newest version that a server has of a model, at the endpoints that it serves.

    Args:
        connection: to the server.
        model: its name, or that of its endpoint for images.
        repository: the server's, which keeps the goldens of each version.
        artifact: the exported model, or the variant, where the repository is elsewhere.

    Raises:
        RegardError: the server does not answer, or does not know the model.
        InvalidInput: there are no goldens.
    """
    typed, model = model, model_of(model)
    ready: dict[Endpoint, list[int]] = {}
    with explained(connection, model, timeout=TIMEOUT):
        for endpoint in ENDPOINTS:
            ready[endpoint] = _ready(connection, name_of(model, endpoint))
    endpoints: list[Endpoint] = [endpoint for endpoint in ENDPOINTS if ready[endpoint]]
    if not endpoints:
        raise UnknownName.among("ready model", typed, _names(connection))
    first = name_of(model, endpoints[0])
    version = str(max(ready[endpoints[0]]))
    folder = repository / first / version if artifact is None else artifact
    exported = _exported_to(folder)
    return verify(
        connection,
        model,
        exported.card,
        exported.goldens,
        variant=exported.variant,
        version=version,
        endpoints=endpoints,
    )


def _ready(connection: Connection, endpoint: str) -> list[int]:
    """The versions of an endpoint that are ready; of its metadata, which every gateway lets through."""
    try:
        return connection.versions(endpoint, timeout=TIMEOUT)
    except Fault as fault:
        if "unknown model" not in fault.message:
            raise
        return []


def _names(connection: Connection) -> set[str]:
    """The models that are ready, where the server tells."""
    try:
        index = connection.index(timeout=TIMEOUT)
    except Fault:
        return set()
    return {model_of(entry["name"]) for entry in index if entry.get("state") == "READY"}


def fault_of(connection: Connection, repository: Path, endpoint: str, versions: Sequence[int]) -> str | None:
    """Why versions that were loaded at an endpoint do not answer as they were exported; None where they do.

    Raises:
        InvalidInput: their goldens cannot be read.
    """
    for version in versions:
        exported = _exported_to(repository / endpoint / str(version))
        done = verify(
            connection,
            model_of(endpoint),
            exported.card,
            exported.goldens,
            variant=exported.variant,
            version=str(version),
            endpoints=[endpoint_of(endpoint)],
        )
        if not done.passed:
            return (
                f"version {version} does not answer its goldens as it was exported: {done.faults}"
                f"{exported.computed_here}"
            )
    return None


def has_goldens(repository: Path, endpoint: str, versions: Sequence[int]) -> bool:
    """Whether all of these versions can be verified: they have goldens, and were proven."""
    folders = [repository / endpoint / str(version) for version in versions]
    return all(
        (folder / GOLDENS).is_dir() and (variant_in(folder) or card_from_file(folder / CARD_FILE)).proven
        for folder in folders
    )


@dataclass(frozen=True)
class _Exported:
    """What a served model is held against."""

    card: Card
    goldens: tuple[Golden, ...]
    variant: Variant | None

    @property
    def computed_here(self) -> str:
        """Which OpenVINO a server on this machine computes it by, as a clause; "" for other runtimes."""
        if self.variant is None or self.variant.runtime != "openvino":
            return ""
        return f"; it was computed by OpenVINO {importlib.metadata.version('openvino')}"


def _exported_to(folder: Path) -> _Exported:
    """Of a folder: a repository's version, an artifact, or a variant inside one."""
    variant = variant_in(folder)
    if (folder / CARD_FILE).is_file():
        return _Exported(card_from_file(folder / CARD_FILE), read_goldens(folder / GOLDENS), variant)
    if variant is None:
        raise InvalidInput(
            f"{folder} holds no {CARD_FILE}: name the repository that is served, or the exported model"
        )
    artifact = folder.resolve().parent.parent
    card = variant.card_of(card_from_file(artifact / CARD_FILE))
    goldens = read_goldens(artifact / GOLDENS, answers=folder / ANSWERS_FILE)
    return _Exported(card, goldens, variant)
