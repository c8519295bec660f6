"""gRPC, awaited."""

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

    async def close(self) -> None:
        """Close the channel, once its inferences have ended or their grace has passed."""
        if self._opened is not None:
            await self._opened.close(GRACE)

    def _method(self, path: str) -> Any:
        """What calls a method: bytes in, bytes out."""
        if self._opened is None:
            self._opened = self._channel.open(grpc.aio)  # in the event loop that it belongs to
        return self._opened.unary_unary(path)
