"""gRPC, blocking: one channel, which many threads share."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import grpc

from regard.serving.protocol.address import Address
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.codec import Message, Reply
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_channel import Channel
from regard.serving.protocol.grpc_codec import GrpcCodec
from regard.serving.protocol.grpc_open_calls import OpenCalls
from regard.serving.protocol.proxies import Proxy


class GrpcConnection(Connection):
    """See `Connection`."""

    def __init__(self, address: Address, credentials: Credentials, proxy: Proxy | None) -> None:
        super().__init__(address, GrpcCodec())
        self._channel = Channel(address, credentials, proxy)
        self._opened: Any = self._channel.open(grpc)
        self._calls = OpenCalls()
        self._methods: dict[str, Any] = {}

    def _send(self, message: Message, timeout: float) -> Reply:
        metadata = self._channel.metadata_of(message)
        try:
            return Reply(self._method(message.path)(message.body, timeout=timeout, metadata=metadata))
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    def _send_inference(
        self, model: str, message: Message, timeout: float, cancellation: Cancellation
    ) -> Reply:
        method, metadata = self._method(message.path), self._channel.metadata_of(message)
        try:
            return Reply(self._calls.reply(model, method, message.body, metadata, timeout, cancellation))
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    def _send_stream(self, model: str, message: Message, timeout: float) -> Generator[Reply, None, None]:
        method, metadata = self._opened.stream_stream(message.path), self._channel.metadata_of(message)
        try:
            with closing(self._calls.replies(model, method, message.body, metadata, timeout)) as replies:
                yield from map(Reply, replies)
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    def sender(self, timeout: float) -> Callable[[Message], int]:
        """On the one channel. Its deadline does reach the server, since a call that can be given up takes
        a thread more; that is for timeouts which only a server at fault meets.
        """
        metadata = self._channel.metadata

        def send(message: Message) -> int:
            try:
                return len(self._method(message.path)(message.body, timeout=timeout, metadata=metadata))
            except grpc.RpcError as error:
                raise self._channel.fault(error) from None

        return send

    def close(self) -> None:
        """Close the channel, once its inferences have ended or their grace has passed."""
        try:
            self._calls.wait()
        finally:
            self._opened.close()

    def _method(self, path: str) -> Any:
        """What calls a method: bytes in, bytes out."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self._opened.unary_unary(path)
        return method
