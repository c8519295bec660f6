"""The public error for a fault: one mapping, whoever asked and over whichever protocol."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from regard.contract.names import ENDPOINTS, IMAGE_ENDPOINT, PREPROCESS_STEP, STREAM_ENDPOINT, TEXT_ENDPOINT
from regard.errors import InferenceError, InvalidInput, RegardError, ServerUnreachable, UnknownName
from regard.serving.protocol.address import Address
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault

NO_SUCH_CALL = ("NOT_FOUND", "UNIMPLEMENTED")  # what a gateway answers for what it does not let through
# the model's state on the server does not explain these
ITS_OWN_REASON = ("DEADLINE_EXCEEDED", "UNAUTHENTICATED", "PERMISSION_DENIED")


def wants_index(fault: Fault) -> bool:
    """Whether the repository index may tell the reason: an unknown name, a version that is not loaded."""
    return fault.answered and fault.code not in ITS_OWN_REASON


def public_error(
    fault: Fault,
    address: Address,
    model: str,
    *,
    endpoint: str | None = None,
    version: str = "",
    timeout: float,
    index: Sequence[Mapping[str, str]] | None = None,
) -> RegardError:
    """What to tell the user.

    endpoint: the model's name as it was sent, where that is another: its endpoint for images.
    timeout: the seconds that the whole call was given.
    index: the server's repository index, if it could be had; see `wants_index`.
    """
    if not fault.answered and fault.code == "UNAVAILABLE":
        return ServerUnreachable(f"no server answers at {address} ({fault.message}). {fault.next_step}")
    if not fault.answered:
        return ServerUnreachable(
            f"no connection to the server at {address}: {fault.message}. {fault.next_step}"
        )
    if fault.code == "DEADLINE_EXCEEDED":
        message = (
            f"no answer from {address} within {timeout:g} s; pass a longer timeout, or see whether the "
            "server is overloaded"
        )
        return InferenceError(fault.code, message, model)
    streamed = endpoint is not None and endpoint.endswith(STREAM_ENDPOINT)
    if index is None and streamed and fault.code in NO_SUCH_CALL:
        message = (
            f"{fault.message}; what stands at {address} passes no streams on, as a deployment's gateway: ask "
            "for the whole answer, or ask the server itself"
        )
        return InferenceError(fault.code, message, model)
    if index is None:
        return InferenceError(fault.code, fault.message, model)
    names = {entry["name"] for entry in index}
    home = next((name for name in _homes(model) if name in names), None)
    if home is None:
        known = {_without(name, ENDPOINTS) for name in names if not name.endswith(PREPROCESS_STEP)}
        return UnknownName.among("model", model, known)
    if streamed and endpoint not in names:
        return InvalidInput(
            f"model {model!r} is served without {endpoint}, which answers word by word: ask for the whole "
            "answer, or add it with that endpoint"
        )
    if home == model and endpoint is not None and endpoint not in names:
        return InvalidInput(
            f"model {model!r} is served for tensors alone, and image files were sent: decode them first "
            "(give arrays or PIL images), or add it with its endpoint for images"
        )
    entries = [entry for entry in index if entry["name"] == home]
    ready = sorted({entry.get("version", "") for entry in entries if entry.get("state") == "READY"})
    if version and version not in ready:
        return InvalidInput(
            f"model {model!r} has no version {version} on {address}. Served: {', '.join(ready) or 'none'}."
        )
    if not ready:
        states = "; ".join(
            f"{entry.get('state') or 'not loaded'} {entry.get('reason', '')}".strip() for entry in entries
        )
        message = f"the server has it, but not ready ({states}); wait, or see the server's log"
        return InferenceError("UNAVAILABLE", message, model)
    if home != model and endpoint in (None, model):
        return InvalidInput(takes_files_alone(model))
    return InferenceError(fault.code, fault.message, model)


def _homes(model: str) -> tuple[str, ...]:
    """Names of which a model has one at least."""
    return model, model + IMAGE_ENDPOINT, model + TEXT_ENDPOINT


def _without(name: str, suffixes: Iterable[str]) -> str:
    for suffix in suffixes:
        name = name.removesuffix(suffix)
    return name


def takes_files_alone(model: str) -> str:
    """Why tensors cannot be sent, and what to do."""
    name = model.removesuffix(IMAGE_ENDPOINT)
    other = "add it with its endpoint for tensors" if name == model else f"ask {name!r}"
    return (
        f"model {model!r} is served for image files alone: give the path or the bytes of a JPEG, PNG or WebP "
        f"file, or {other}"
    )


@contextmanager
def explained(
    connection: Connection, model: str, *, endpoint: str | None = None, timeout: float
) -> Iterator[None]:
    """Raise the public error for a Fault inside the block; `endpoint` as of `public_error`."""
    try:
        yield
    except Fault as fault:
        index = None
        if wants_index(fault):
            try:
                index = connection.index(timeout=timeout)
            except Fault:
                index = None
        raise public_error(
            fault, connection.address, model, endpoint=endpoint, timeout=timeout, index=index
        ) from None
