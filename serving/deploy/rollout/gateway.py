"""Asking the two colours through the gateway, as its operator: what each says of itself, what it answers."""

import json
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

from regard.errors import InferenceError, ServerUnreachable
from regard.serving.deploy.supervised.status import ModelStatus, Status
from regard.serving.protocol.address import Address
from regard.serving.protocol.codec import Message
from regard.serving.protocol.connect import connect
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.explain import public_error
from regard.serving.protocol.wire import Fault

COLOUR_HEADER = "regard-colour"
STATUS = Message("/regard/status", b"", "GET")
TIMEOUT = 10.0  # seconds for a question that is no inference
PATIENCE = 30.0  # seconds in which a colour that does not answer may only be busy starting
PAUSE = 0.5


class Gateway:
    """The gateway of a deployment. A context manager.

    Args:
        address: of its HTTP side; its gRPC is at the same port.
        credentials: the operator's.
    """

    def __init__(self, address: Address, credentials: Credentials) -> None:
        self.address, self._credentials = address, credentials
        self._connections: dict[tuple[str, str], Connection] = {}

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.close()

    def connection(self, colour: str | None, protocol: Literal["http", "grpc"] = "http") -> Connection:
        """To one colour; or, of None, to whichever gets the requests."""
        key = colour or "", protocol
        if key not in self._connections:
            headers = dict(self._credentials.headers) | ({COLOUR_HEADER: colour} if colour else {})
            address = replace(self.address, protocol=protocol)
            self._connections[key] = connect(address, replace(self._credentials, headers=headers))
        return self._connections[key]

    def status(self, colour: str) -> Status:
        """What a colour says of itself; one that does not answer is asked again for a while.

        Raises:
            ServerUnreachable: the gateway does not answer, or the colour does not.
            InferenceError: the gateway refuses the key, or knows no status.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return _status(self.connection(colour).exchange(STATUS, timeout=TIMEOUT).body)
            except Fault as fault:
                if fault.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED") or time.monotonic() > end:
                    raise self._explained(fault, colour) from None
            time.sleep(PAUSE)

    def _explained(self, fault: Fault, colour: str) -> Exception:
        if fault.answered and fault.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            return ServerUnreachable(
                f"the colour {colour} does not answer behind the gateway at {self.address} "
                f"({fault.message}); see its container's log"
            )
        if fault.answered:
            return InferenceError(fault.code, fault.message, f"{colour} at {self.address}")
        return public_error(fault, self.address, colour, timeout=TIMEOUT)


def _status(body: bytes) -> Status:
    said = json.loads(body)
    models = {name: ModelStatus(**_known(ModelStatus, model)) for name, model in said["models"].items()}
    return Status(**_known(Status, {**said, "models": models}))


def _known(kind: type, said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass; another release of regard in the container may tell more."""
    names = {field.name for field in fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in said.items()
        if name in names
    }
