"""What passes between a client and a transport, and what a transport is: replace it to test, to record or to
count bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from regard.serving.client.cancellation import Cancellation

Array = npt.NDArray[Any]
Outputs = dict[str, Array]


@dataclass(frozen=True)
class Span:
    """Where a tensor lies in a shared memory region that the server has registered; in bytes."""

    region: str
    offset: int
    size: int


@dataclass(frozen=True)
class Request:
    """One inference. A BYTES tensor is an array of dtype object.

    outputs: the names wanted; None asks for all of them.
    spans: tensors, by name, that travel through shared memory instead of the connection.
    """

    model: str
    version: str
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...] | None = None
    spans: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The outputs that came over the connection, and dtype and shape of those that the server wrote to their
    spans.
    """

    arrays: Outputs
    written: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)


class Fault(Exception):
    """A failed call, as a transport reports it; the client turns it into one of its public errors.

    code: gRPC's name for it, such as "INVALID_ARGUMENT".
    answered: False when no server answered: refused, lost, or an unknown host.
    """

    def __init__(self, code: str, message: str, *, answered: bool = True) -> None:
        message = message.removeprefix("[request id: <id_unknown>] ")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.answered = answered


class Transport(Protocol):
    """A connection to one server, safe to use from several threads. Timeouts are in seconds; every call
    raises Fault.
    """

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer: ...
    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]: ...
    def index(self, *, timeout: float) -> list[dict[str, str]]: ...
    def ready(self, *, timeout: float) -> bool: ...
    def register(self, region: str, key: str, size: int, *, timeout: float) -> None: ...
    def unregister(self, region: str, *, timeout: float) -> None: ...
    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """The same, awaited; a cancelled task takes the place of a Cancellation."""

    async def infer(self, request: Request, *, timeout: float) -> Answer: ...
    async def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]: ...
    async def index(self, *, timeout: float) -> list[dict[str, str]]: ...
    async def ready(self, *, timeout: float) -> bool: ...
    async def register(self, region: str, key: str, size: int, *, timeout: float) -> None: ...
    async def unregister(self, region: str, *, timeout: float) -> None: ...
    async def close(self) -> None: ...
