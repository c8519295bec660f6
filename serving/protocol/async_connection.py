"""A connection to one server, awaited: each call is what the codec says, sent."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from regard.serving.protocol.address import Address
from regard.serving.protocol.codec import Call, Codec, Message, Reply
from regard.serving.protocol.shared_memory_key import key_for
from regard.serving.protocol.wire import Answer, Fault, Request

T = TypeVar("T")


class AsyncConnection(ABC):
    """A `regard.serving.protocol.wire.AsyncTransport`, which belongs to the event loop that first uses it.
    Cancelling a call's task ends the waiting.
    """

    def __init__(self, address: Address, codec: Codec) -> None:
        self.address = address
        self._codec = codec

    @abstractmethod
    async def _send(self, message: Message, timeout: float) -> Reply:
        """Send a message and receive the whole reply."""

    @abstractmethod
    async def _send_inference(self, model: str, message: Message, timeout: float) -> Reply:
        """The same of an inference, which may last."""

    @abstractmethod
    def _send_stream(self, model: str, message: Message, timeout: float) -> AsyncGenerator[Reply, None]:
        """Send a message and receive its replies as they come; who closes them is told no more."""

    @abstractmethod
    async def close(self) -> None:
        """Close what is open."""

    async def infer(self, request: Request, *, timeout: float) -> Answer:
        """Send one inference."""
        call = self._codec.infer(request, timeout)
        return call.parse(await self._send_inference(request.model, call.message, timeout))

    async def stream(self, request: Request, *, timeout: float) -> AsyncGenerator[Answer, None]:
        """Send one inference of many answers, for at most so many seconds."""
        call = self._codec.stream(request)
        async with aclosing(self._send_stream(request.model, call.message, timeout)) as replies:
            async for reply in replies:
                if (answer := call.parse(reply)) is not None:
                    yield answer

    async def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """A model's configuration."""
        return await self._call(self._codec.config(model, version), timeout)

    async def index(self, *, timeout: float) -> list[dict[str, str]]:
        """The repository index: name, version and state of every model; of those that are loaded alone, where
        the server keeps the index to itself.
        """
        try:
            return await self._call(self._codec.index(), timeout)
        except Fault as fault:
            if not fault.restricted:
                raise
        return await self._call(self._codec.loaded(), timeout)

    async def ready(self, *, timeout: float) -> bool:
        """Whether the server calls itself ready: by its own settings, with or without all its models."""
        return await self._call(self._codec.ready(), timeout)

    async def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Let the server open a shared memory region."""
        await self._call(self._codec.register(region, key, size, key_for(self.address)), timeout)

    async def unregister(self, region: str, *, timeout: float) -> None:
        """Let the server forget a region."""
        await self._call(self._codec.unregister(region, key_for(self.address)), timeout)

    async def _call(self, call: Call[T], timeout: float) -> T:
        return call.parse(await self._send(call.message, timeout))
