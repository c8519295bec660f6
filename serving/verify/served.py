"""Verifying a model that is served: its goldens are those of the repository's version, or of the artifact."""

from collections.abc import Sequence
from pathlib import Path

from regard.contract.goldens import read_goldens
from regard.contract.names import CARD_FILE, GOLDENS, IMAGE_ENDPOINT
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, UnknownName
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.explain import explained
from regard.serving.verify.endpoint_runner import TIMEOUT
from regard.serving.verify.goldens import ENDPOINTS, Endpoint, Verification, name_of, verify


def verify_served(
    connection: Connection, model: str, *, repository: Path, artifact: Path | None = None
) -> Verification:
    """Verify the newest version that a server has of a model, at the endpoints that it serves.

    Args:
        connection: to the server.
        model: its name, or that of its endpoint for images.
        repository: the server's, which keeps the goldens of each version.
        artifact: the exported model, where the repository is elsewhere.

    Raises:
        RegardError: the server does not answer, or does not know the model.
        InvalidInput: there are no goldens.
    """
    with explained(connection, model, timeout=TIMEOUT):
        index = connection.index(timeout=TIMEOUT)
    ready: dict[str, list[int]] = {}
    for entry in index:
        if entry.get("state") == "READY":
            ready.setdefault(entry["name"], []).append(int(entry.get("version") or 0))
    typed, model = model, model.removesuffix(IMAGE_ENDPOINT)
    endpoints: list[Endpoint] = [endpoint for endpoint in ENDPOINTS if name_of(model, endpoint) in ready]
    if not endpoints:
        raise UnknownName.among("ready model", typed, {name.removesuffix(IMAGE_ENDPOINT) for name in ready})
    first = name_of(model, endpoints[0])
    version = str(max(ready[first]))
    folder = repository / first / version if artifact is None else artifact
    if not (folder / CARD_FILE).is_file():
        raise InvalidInput(
            f"{folder} holds no {CARD_FILE}: name the repository that is served, or the exported model"
        )
    return verify(
        connection,
        model,
        card_from_file(folder / CARD_FILE),
        read_goldens(folder / GOLDENS),
        version=version,
        endpoints=endpoints,
    )


def fault_of(connection: Connection, repository: Path, endpoint: str, versions: Sequence[int]) -> str | None:
    """Why versions that were loaded at an endpoint do not answer as they were exported; None where they do.

    Raises:
        InvalidInput: their goldens cannot be read.
    """
    kind: Endpoint = "image" if endpoint.endswith(IMAGE_ENDPOINT) else "tensor"
    for version in versions:
        folder = repository / endpoint / str(version)
        done = verify(
            connection,
            endpoint.removesuffix(IMAGE_ENDPOINT),
            card_from_file(folder / CARD_FILE),
            read_goldens(folder / GOLDENS),
            version=str(version),
            endpoints=[kind],
        )
        if not done.passed:
            return f"version {version} does not answer its goldens as it was exported: {done.faults}"
    return None


def has_goldens(repository: Path, endpoint: str, versions: Sequence[int]) -> bool:
    """Whether all of these versions can be verified: they have goldens, and were proven."""
    folders = [repository / endpoint / str(version) for version in versions]
    return all(
        (folder / GOLDENS).is_dir() and card_from_file(folder / CARD_FILE).proven for folder in folders
    )
