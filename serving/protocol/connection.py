"""A connection to one server: each call is what the codec says, sent. How it is sent differs by protocol."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, TypeVar

from regard.serving.protocol.address import Address
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.codec import Call, Codec, Message, Reply
from regard.serving.protocol.shared_memory_key import key_for
from regard.serving.protocol.wire import Answer, Fault, Request

T = TypeVar("T")


class Connection(ABC):
    """A `regard.serving.protocol.wire.Transport`, with what a benchmark and a canary need besides.

    Safe to use from several threads. Timeouts are in seconds; every call raises Fault.
    """

    def __init__(self, address: Address, codec: Codec) -> None:
        self.address = address
        self._codec = codec

    @abstractmethod
    def _send(self, message: Message, timeout: float) -> Reply:
        """Send a message and receive the whole reply."""

    @abstractmethod
    def _send_inference(
        self, model: str, message: Message, timeout: float, cancellation: Cancellation
    ) -> Reply:
        """The same of an inference, which may last, and be given up by another thread."""

    @abstractmethod
    def _send_stream(self, model: str, message: Message, timeout: float) -> Generator[Reply, None, None]:
        """Send a message and receive its replies as they come; who closes them is told no more."""

    @abstractmethod
    def sender(self, timeout: float) -> Callable[[Message], int]:
        """One worker's own way to send prepared messages: returns how many bytes came back, which it does not
        parse, or raises Fault. For one thread at a time.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what is open; calls under way end, after a short grace or with their answer."""

    def prepare(self, request: Request) -> Message:
        """A request as bytes, to be sent many times."""
        return self._codec.infer(request).message

    def call(self, request: Request, *, timeout: float) -> Call[Answer]:
        """What `infer` sends, and how it reads the reply."""
        return self._codec.infer(request, timeout)

    def exchange(self, message: Message, *, timeout: float) -> Reply:
        """Send a message that is no inference."""
        return self._send(message, timeout)

    def exchange_inference(self, model: str, message: Message, *, timeout: float) -> Reply:
        """Send a message as `infer` does."""
        return self._send_inference(model, message, timeout, Cancellation())

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation | None = None) -> Answer:
        """Send one inference."""
        call = self.call(request, timeout=timeout)
        cancellation = cancellation or Cancellation()
        return call.parse(self._send_inference(request.model, call.message, timeout, cancellation))

    def stream(self, request: Request, *, timeout: float) -> Generator[Answer, None, None]:
        """Send one inference of many answers, for at most so many seconds."""
        call = self._codec.stream(request)
        with closing(self._send_stream(request.model, call.message, timeout)) as replies:
            yield from filter(None, map(call.parse, replies))

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """A model's configuration."""
        return self._call(self._codec.config(model, version), timeout)

    def server(self, *, timeout: float) -> str:
        """Triton's own version, such as "2.51.0"."""
        return self._call(self._codec.server(), timeout)

    def versions(self, model: str, *, timeout: float) -> list[int]:
        """The versions of a model that are ready; a Fault where there is none."""
        return self._call(self._codec.versions(model), timeout)

    def statistics(self, model: str, *, timeout: float) -> list[dict[str, Any]]:
        """Triton's statistics of each version of a model."""
        return self._call(self._codec.statistics(model), timeout)

    def index(self, *, timeout: float) -> list[dict[str, str]]:
        """The repository index: name, version and state of every model; of those that are loaded alone, where
        the server keeps the index to itself.
        """
        try:
            return self._call(self._codec.index(), timeout)
        except Fault as fault:
            if not fault.restricted:
                raise
        return self._call(self._codec.loaded(), timeout)

    def load(self, model: str, config: str, *, timeout: float) -> None:
        """Load a model, or what has changed of it, by a configuration (JSON) in place of its config.pbtxt.
        What was loaded of it answers until then, and answers on if it fails.
        """
        self._call(self._codec.load(model, config), timeout)

    def unload(self, model: str, *, timeout: float) -> None:
        """Begin to unload a model; requests in flight finish."""
        self._call(self._codec.unload(model), timeout)

    def ready(self, *, timeout: float) -> bool:
        """Whether the server calls itself ready: by its own settings, with or without all its models."""
        return self._call(self._codec.ready(), timeout)

    def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Let the server open a shared memory region."""
        self._call(self._codec.register(region, key, size, key_for(self.address)), timeout)

    def unregister(self, region: str, *, timeout: float) -> None:
        """Let the server forget a region."""
        self._call(self._codec.unregister(region, key_for(self.address)), timeout)

    def regions(self, *, timeout: float) -> list[str]:
        """The names of the system shared memory regions that the server has open."""
        return self._call(self._codec.regions(key_for(self.address)), timeout)

    def _call(self, call: Call[T], timeout: float) -> T:
        return call.parse(self._send(call.message, timeout))
