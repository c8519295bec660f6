"""What passes between who asks and what carries it, and what can carry it: replace a transport to test, to
record or to count bytes.
"""

from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from regard.serving.protocol.cancellation import Cancellation

Array = npt.NDArray[Any]
Outputs = dict[str, Array]
Parameter = bool | int | str
START_ONE = "Start one with `regard serve`, or give the address of one that runs."


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
    parameters: what the model is told beside the tensors; of a session, which it belongs to.
    """

    model: str
    version: str
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...] | None = None
    spans: Mapping[str, Span] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The outputs that came over the connection, and dtype and shape of those that the server wrote to their
    spans.
    """

    arrays: Outputs
    written: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)


class Fault(Exception):
    """A failed call, as a transport reports it; `explain.py` turns it into one of the public errors.

    code: gRPC's name for it, such as "INVALID_ARGUMENT".
    answered: False when no server answered: refused, lost, not trusted, or an unknown host.
    next_step: what the user can do about a server that did not answer.
    """

    def __init__(self, code: str, message: str, *, answered: bool = True, next_step: str = START_ONE) -> None:
        message = message.removeprefix("[request id: <id_unknown>] ")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.answered = answered
        self.next_step = next_step

    @property
    def restricted(self) -> bool:
        """Whether Triton grants what was asked for to those alone who show a key of its own."""
        return (
            self.code in ("UNAVAILABLE", "PERMISSION_DENIED") and "is restricted, expecting" in self.message
        )


class Transport(Protocol):
    """What a Client needs of a connection to one server, from several threads at a time. Timeouts are in
    seconds; every call raises Fault. A stream is closed by who wants no more of it.
    """

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer: ...
    def stream(self, request: Request, *, timeout: float) -> Generator[Answer, None, None]: ...
    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]: ...
    def index(self, *, timeout: float) -> list[dict[str, str]]: ...
    def ready(self, *, timeout: float) -> bool: ...
    def register(self, region: str, key: str, size: int, *, timeout: float) -> None: ...
    def unregister(self, region: str, *, timeout: float) -> None: ...
    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """The same, awaited; a cancelled task takes the place of a Cancellation."""

    async def infer(self, request: Request, *, timeout: float) -> Answer: ...
    def stream(self, request: Request, *, timeout: float) -> AsyncGenerator[Answer, None]: ...
    async def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]: ...
    async def index(self, *, timeout: float) -> list[dict[str, str]]: ...
    async def ready(self, *, timeout: float) -> bool: ...
    async def register(self, region: str, key: str, size: int, *, timeout: float) -> None: ...
    async def unregister(self, region: str, *, timeout: float) -> None: ...
    async def close(self) -> None: ...
