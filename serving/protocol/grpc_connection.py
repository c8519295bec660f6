"""gRPC, blocking: one channel, which many threads share."""

from collections.abc import Callable
from typing import Any

import grpc

from regard.serving.protocol.address import Address
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.codec import Message, Reply
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_channel import Channel
from regard.serving.protocol.grpc_codec import GrpcCodec
from regard.serving.protocol.proxies import Proxy
from regard.serving.protocol.wire import Fault


class GrpcConnection(Connection):
    """See `Connection`."""

    def __init__(self, address: Address, credentials: Credentials, proxy: Proxy | None) -> None:
        super().__init__(address, GrpcCodec())
        self._channel = Channel(address, credentials, proxy)
        self._opened: Any = self._channel.open(grpc)
        self._methods: dict[str, Any] = {}

    def _send(self, message: Message, timeout: float, cancellation: Cancellation) -> Reply:
        try:
            call = self._method(message.path).future(
                message.body, timeout=timeout, metadata=self._channel.metadata_of(message)
            )
            try:
                with cancellation.on(call.cancel):
                    return Reply(call.result())
            except KeyboardInterrupt:
                call.cancel()
                raise
        except grpc.FutureCancelledError:
            raise Fault("CANCELLED", "the call was cancelled") from None
        except grpc.RpcError as error:
            raise self._channel.fault(error) from None

    def sender(self, timeout: float) -> Callable[[Message], int]:
        """On the one channel."""
        metadata = self._channel.metadata

        def send(message: Message) -> int:
            try:
                return len(self._method(message.path)(message.body, timeout=timeout, metadata=metadata))
            except grpc.RpcError as error:
                raise self._channel.fault(error) from None

        return send

    def close(self) -> None:
        """Close the channel."""
        self._opened.close()

    def _method(self, path: str) -> Any:
        """What calls a method: bytes in, bytes out."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self._opened.unary_unary(path)
        return method
