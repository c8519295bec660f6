"""How a gRPC channel is opened, and what its errors mean."""

from typing import Any

import grpc

from regard.serving.protocol.address import Address
from regard.serving.protocol.codec import Message
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.proxies import Proxy
from regard.serving.protocol.tls import channel_credentials
from regard.serving.protocol.unanswered import unanswered
from regard.serving.protocol.wire import Fault

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # left alone, gRPC waits a second before it looks for a server that was away, then longer and longer. Its
    # min_reconnect_backoff is none, but the longest that a connection may take, encryption included: a
    # distant server needs more than a few hundred milliseconds
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.use_local_subchannel_pool", 1),  # a client never inherits another one's back-off
]
# gRPC says UNAVAILABLE about a connection, too, as Triton does about a model: these words tell them apart
LOST = (
    "failed to connect",
    "connection",
    "socket",
    "resolving",
    "dns resolution",
    "name resolution",
    "goaway",
    "broken pipe",
    "endpoint",
    "tsi_",
)


class Channel:
    """What a channel to an address is made of, for the blocking and the awaited module alike.

    Raises:
        InvalidInput: TLS files that are unusable, or for an address without encryption.
    """

    def __init__(self, address: Address, credentials: Credentials, proxy: Proxy | None) -> None:
        self._address, self._proxy = address, proxy
        self._credentials = channel_credentials(address, credentials)
        self.metadata = tuple(credentials.sent_headers.items()) or None

    def metadata_of(self, message: Message) -> tuple[tuple[str, str], ...] | None:
        """Of a call that sends the message."""
        return (*(self.metadata or ()), *message.headers.items()) if message.headers else self.metadata

    def open(self, module: Any) -> Any:
        """A channel of `grpc`, or of `grpc.aio`."""
        target = f"dns:///{self._address.authority}"
        # left alone, gRPC would take the environment's proxy even for this machine
        proxy = ("grpc.enable_http_proxy", 0) if self._proxy is None else ("grpc.http_proxy", self._proxy.url)
        options = [*OPTIONS, proxy]
        if self._credentials is None:
            return module.insecure_channel(target, options=options)
        return module.secure_channel(target, self._credentials, options=options)

    def fault(self, error: grpc.RpcError) -> Fault:
        """A failed call's error."""
        code, message = error.code().name, error.details() or "no details"
        if code == "UNAVAILABLE" and any(sign in message.lower() for sign in LOST):
            return unanswered(message, self._address, self._proxy)
        return Fault(code, message)
