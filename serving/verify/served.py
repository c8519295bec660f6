"""Verifying a model that is served: its goldens are those of the repository's version, or of the artifact."""

from pathlib import Path

from regard.contract.goldens import read_goldens
from regard.contract.names import CARD_FILE, GOLDENS, IMAGE_ENDPOINT
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, UnknownName
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.explain import explained
from regard.serving.verify.endpoint_runner import TIMEOUT
from regard.serving.verify.goldens import ENDPOINTS, Endpoint, Verification, verify


def verify_served(
    connection: Connection, model: str, *, repository: Path, artifact: Path | None = None
) -> Verification:
    """Verify the newest version that a server has of a model, at the endpoints that it serves.

    Args:
        connection: to the server.
        model: its name, without `_image`.
        repository: the server's, which keeps the goldens of each version.
        artifact: the exported model, where the repository is elsewhere.

    Raises:
        RegardError: the server does not answer, or does not know the model.
        InvalidInput: there are no goldens, or they belong to another version than the one that is served.
    """
    version, endpoints = _served(connection, model)
    folder = repository / model / version if artifact is None else artifact
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


def _served(connection: Connection, model: str) -> tuple[str, list[Endpoint]]:
    """The newest version that is ready, and the endpoints of the model."""
    with explained(connection, model, timeout=TIMEOUT):
        index = connection.index(timeout=TIMEOUT)
    ready = {(entry["name"], entry.get("version", "")) for entry in index if entry.get("state") == "READY"}
    names: dict[Endpoint, str] = {"tensor": model, "image": model + IMAGE_ENDPOINT}
    endpoints = [endpoint for endpoint in ENDPOINTS if any(name == names[endpoint] for name, _ in ready)]
    if not endpoints:
        known = {name.removesuffix(IMAGE_ENDPOINT) for name, _ in ready}
        raise UnknownName.among("ready model", model, known)
    versions = [int(version) for name, version in ready if name == names[endpoints[0]] and version]
    return str(max(versions)), endpoints
