"""What a protocol makes of each call: bytes to send, and what the bytes that come back mean.

A codec knows no connection: the same one serves blocking, awaited and measured calls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from regard.serving.protocol.wire import Answer, Request

T = TypeVar("T")


@dataclass(frozen=True)
class Message:
    """Bytes to send. path: of HTTP, below the server's root; of gRPC, the method's full name. headers: of
    gRPC, its metadata.
    """

    path: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """The bytes of a good answer. json_size: how many of them are JSON, where tensors follow it (HTTP)."""

    body: bytes
    json_size: int | None = None


@dataclass(frozen=True)
class Call(Generic[T]):
    """A message, and how to read the reply to it."""

    message: Message
    parse: Callable[[Reply], T]


def microseconds(seconds: float) -> int:
    """What Triton counts time in; 0 would mean no limit."""
    return max(1, int(seconds * 1e6))


class Codec(Protocol):
    """One protocol."""

    def infer(self, request: Request, timeout: float | None = None) -> Call[Answer]:
        """One inference. timeout: seconds it may take, for a server that refuses what would be too late."""
        ...

    def stream(self, request: Request) -> Call[Answer | None]:
        """An inference of many answers; `parse` reads one of the many replies: an answer, none behind the
        last, or the Fault that ended them.
        """
        ...

    def config(self, model: str, version: str) -> Call[Mapping[str, Any]]:
        """A model's configuration, in the protobuf's field names; gRPC's 64-bit numbers are strings."""
        ...

    def server(self) -> Call[str]:
        """Triton's own version, from the server's metadata."""
        ...

    def versions(self, model: str) -> Call[list[int]]:
        """The versions of a model that are ready, from its metadata; a Fault where there is none."""
        ...

    def statistics(self, model: str) -> Call[list[dict[str, Any]]]:
        """Triton's statistics of each version of a model; likewise."""
        ...

    def index(self) -> Call[list[dict[str, str]]]:
        """The repository index: name, version and state of every model."""
        ...

    def loaded(self) -> Call[list[dict[str, str]]]:
        """The same of what is loaded alone, from the statistics, which no server keeps to itself."""
        ...

    def load(self, model: str, config: str) -> Call[None]:
        """Load a model, or what has changed of it; `config` is the JSON that stands for its config.pbtxt."""
        ...

    def unload(self, model: str) -> Call[None]:
        """Unload a model; requests in flight finish."""
        ...

    def ready(self) -> Call[bool]:
        """Whether the server calls itself ready; HTTP has a Fault for no."""
        ...

    def register(self, region: str, key: str, size: int, secret: str | None) -> Call[None]:
        """Let the server open a shared memory region; `secret`: see shared_memory_key.py."""
        ...

    def unregister(self, region: str, secret: str | None) -> Call[None]:
        """Let the server forget a region."""
        ...

    def regions(self, secret: str | None) -> Call[list[str]]:
        """The names of the system shared memory regions that the server has open."""
        ...
