"""gRPC, awaited."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from regard.serving.protocol.address import Address
from regard.serving.protocol.async_connection import AsyncConnection
from regard.serving.protocol.codec import Message, Reply
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_channel import Channel
from regard.serving.protocol.grpc_codec import GrpcCodec
from regard.serving.protocol.grpc_open_calls import GRACE, AsyncOpenCalls
from regard.serving.protocol.proxies import Proxy


class AsyncGrpcConnection(AsyncConnection):
    """See `AsyncConnection`."""

    def __init__(self, address: Address, credentials: Credentials, proxy: Proxy | None) -> None:
        super().__init__(address, GrpcCodec())
        self._channel = Channel(address, credentials, proxy)
        self._opened: Any = None
        self._calls = AsyncOpenCalls()

    async def _send(self, message: Message, timeout: float) -> Reply:
        metadata = self._channel.metadata_of(message)
        try:
            return Reply(await self._method(message.path)(message.body, timeout=timeout, metadata=metadata))
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    async def _send_inference(self, model: str, message: Message, timeout: float) -> Reply:
        method, metadata = self._method(message.path), self._channel.metadata_of(message)
        try:
            return Reply(await self._calls.reply(model, method, message.body, metadata, timeout))
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    async def _send_stream(self, model: str, message: Message, timeout: float) -> AsyncGenerator[Reply, None]:
        method = self._channel_opened().stream_stream(message.path)
        metadata = self._channel.metadata_of(message)
        try:
            async with aclosing(
                self._calls.replies(model, method, message.body, metadata, timeout)
            ) as replies:
                async for body in replies:
                    yield Reply(body)
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    async def close(self) -> None:
        """Close the channel, once its inferences have ended or their grace has passed."""
        if self._opened is not None:
            await self._opened.close(GRACE)
            await self._calls.end()

    def _method(self, path: str) -> Any:
        """What calls a method: bytes in, bytes out."""
        return self._channel_opened().unary_unary(path)

    def _channel_opened(self) -> Any:
        if self._opened is None:
            self._opened = self._channel.open(grpc.aio)  # in the event loop that it belongs to
        return self._opened
