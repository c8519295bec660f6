"""From an address to a connection. Each protocol's library is imported only when it is spoken."""

from regard.serving.protocol.address import Address
from regard.serving.protocol.async_connection import AsyncConnection
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.proxies import proxy_for


def connect(address: Address, credentials: Credentials) -> Connection:
    """A connection, opened at its first call; through the environment's proxy where the address is remote.

    Raises:
        InvalidInput: TLS files that are unusable, or for an address without encryption; an unusable proxy.
    """
    if address.protocol == "grpc":
        from regard.serving.protocol.grpc_connection import GrpcConnection

        return GrpcConnection(address, credentials, proxy_for(address))
    from regard.serving.protocol.http_connection import HttpConnection

    return HttpConnection(address, credentials, proxy_for(address))


def connect_async(address: Address, credentials: Credentials) -> AsyncConnection:
    """The same, awaited."""
    if address.protocol == "grpc":
        from regard.serving.protocol.grpc_async_connection import AsyncGrpcConnection

        return AsyncGrpcConnection(address, credentials, proxy_for(address))
    from regard.serving.protocol.http_async_connection import AsyncHttpConnection

    return AsyncHttpConnection(address, credentials, proxy_for(address))
