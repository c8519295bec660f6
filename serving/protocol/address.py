"""A server's address: how it is written, and where it is taken from when it is left out.

| written | means | port, if left out |
|---|---|---|
| `host:port` | what `protocol` says, gRPC by default | never left out |
| `http://host/path`, `https://host/path` | HTTP, below that path | 80, 443 |
| `grpc://host`, `grpcs://host` | gRPC | 8001, 443 |

https and grpcs are encrypted. An IPv6 address stands in brackets.
"""

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Literal

from regard.errors import InvalidInput

Protocol = Literal["grpc", "http"]

VARIABLE = "REGARD_URL"
LOCAL: dict[str, str] = {"grpc": "127.0.0.1:8001", "http": "127.0.0.1:8000"}
SCHEMES: dict[str, tuple[Protocol, bool, int]] = {  # protocol, encrypted, usual port
    "http": ("http", False, 80),
    "https": ("http", True, 443),
    "grpc": ("grpc", False, 8001),
    "grpcs": ("grpc", True, 443),
}
_WRITTEN = re.compile(
    r"((?P<scheme>[A-Za-z]+)://)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-~]*)?"
)
_FORMS = f"host:port, such as {LOCAL['grpc']}, or http://, https://, grpc:// or grpcs:// and a host"


@dataclass(frozen=True)
class Address:
    """Where a server is, and what it speaks.

    host: a name, or an IP address without brackets.
    path: what stands before Triton's own paths, such as "/vision"; empty for gRPC.
    """

    protocol: Protocol
    host: str
    port: int
    encrypted: bool = False
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port, as URLs write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def scheme(self) -> str:
        """One of SCHEMES."""
        return self.protocol + ("s" if self.encrypted else "")

    @property
    def url(self) -> str:
        """The whole of it."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether it can only be this machine, without asking a name server."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return self.url if self.encrypted or self.path else self.authority


def address_of(url: str | None, protocol: str | None = None) -> Address:
    """Read an address.

    Args:
        url: None stands for the environment's REGARD_URL, or else for this machine and Triton's own port.
        protocol: "grpc" or "http", where the address does not say it.

    Raises:
        InvalidInput: an unknown protocol, one that contradicts the address, or no address.
    """
    if protocol not in (None, "grpc", "http"):
        raise InvalidInput(f"protocol must be 'grpc' or 'http', got {protocol!r}")
    origin = ""
    if url is None and os.environ.get(VARIABLE):
        url, origin = os.environ[VARIABLE], f" (from {VARIABLE})"
    if url is None:
        url = LOCAL[protocol or "grpc"]
    if "@" in url:
        raise InvalidInput(
            f"a server's address holds no user or password{origin}; take them out, and give an API key or a "
            "token instead"
        )
    match = _WRITTEN.fullmatch(url)
    scheme = match and (match["scheme"] or "").lower()
    if match is None or (scheme and scheme not in SCHEMES) or re.search(r"[?#]", match["path"] or ""):
        raise InvalidInput(f"a server's address is {_FORMS}; got {url!r}{origin}")
    if scheme:
        spoken, encrypted, usual_port = SCHEMES[scheme]
        if protocol not in (None, spoken):
            raise InvalidInput(
                f"protocol {protocol!r} contradicts the address {url!r}{origin}; leave one out"
            )
    else:
        spoken, encrypted, usual_port = "http" if protocol == "http" else "grpc", False, 0
    host, port = match["host"].strip("[]"), int(match["port"] or usual_port)
    path = (match["path"] or "").rstrip("/")
    if not 0 < port < 65536 or (match["host"].startswith("[") and not _is_ipv6(host)):
        raise InvalidInput(f"a server's address is {_FORMS}; got {url!r}{origin}")
    if path and (spoken == "grpc" or not scheme):
        raise InvalidInput(f"only http:// and https:// addresses have a path; got {url!r}{origin}")
    return Address(spoken, host, port, encrypted, path)


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
