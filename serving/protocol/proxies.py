"""Which proxy leads to a server: the environment's, for a remote address; none to this machine, ever."""

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from regard.errors import InvalidInput
from regard.serving.protocol.address import Address

# by an address's scheme, the first that is set; gRPC has no variable of its own in most environments
VARIABLES = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "grpc": ("grpc", "https", "http", "all"),
    "grpcs": ("grpc", "https", "http", "all"),
}


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy. login: "user:password", percent-encoded as in the variable."""

    host: str
    port: int
    login: str | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """Host and port, without the login."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """With the login."""
        return f"http://{f'{self.login}@' if self.login else ''}{self.authority}"

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy itself is shown."""
        if self.login is None:
            return {}
        return {"Proxy-Authorization": f"Basic {base64.b64encode(unquote(self.login).encode()).decode()}"}


def proxy_for(address: Address) -> Proxy | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, GRPC_PROXY or ALL_PROXY names for the address, unless NO_PROXY
    lists its host; in capitals or small letters.

    Raises:
        InvalidInput: the variable does not name an HTTP proxy.
    """
    if address.is_loopback:
        return None
    from urllib.request import getproxies_environment, proxy_bypass  # slow to import, and most need it not

    proxies = getproxies_environment()
    if proxy_bypass(address.authority, proxies):
        return None
    for name in VARIABLES[address.scheme]:
        if proxies.get(name):
            return _parsed(f"{name}_proxy", proxies[name])
    return None


def _parsed(variable: str, value: str) -> Proxy:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    try:
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if parts.scheme != "http" or not host:
        raise InvalidInput(
            f"{variable} must name an HTTP proxy, such as http://proxy:3128, got "
            f"{value.rpartition('@')[2]!r}; set it so, or list the server's host in no_proxy"
        )
    login = parts.netloc.rpartition("@")[0]
    return Proxy(host, port, login or None)
