"""A server's address: `host:port`, and whether it is this machine."""

import ipaddress
import re

from regard.errors import InvalidInput

DEFAULT = {"grpc": "127.0.0.1:8001", "http": "127.0.0.1:8000"}
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")


def checked_url(url: str | None, protocol: str) -> str:
    """The address to connect to; None stands for the protocol's usual port on this machine.

    Raises:
        InvalidInput: an unknown protocol, or an address not of the form host:port.
    """
    if protocol not in DEFAULT:
        raise InvalidInput(f"protocol must be 'grpc' or 'http', got {protocol!r}")
    if url is None:
        return DEFAULT[protocol]
    match = _ADDRESS.fullmatch(url)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InvalidInput(
            f"a server's address is host:port, such as {DEFAULT[protocol]}, got {url!r}; choose http or grpc "
            "with protocol"
        )
    return url


def is_loopback(url: str) -> bool:
    """Whether `host:port` can only be this machine, without asking a name server."""
    host = url.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
