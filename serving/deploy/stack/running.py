"""What is told of a stack that is up: its addresses, its keys and what it serves."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard.errors import InvalidInput
from regard.serving.deploy.published_faults import warning_of


@dataclass(frozen=True)
class Running:
    """A stack that is up.

    Attributes:
        repository: the model repository that serves, which is a snapshot after a rollout.
        http, grpc: addresses of the gateway, as a Client takes them.
        ca, api_key, operator_key: files that a Client needs; None without TLS and keys.
        prometheus: its address on this machine.
        release: of NVIDIA's Triton.
        models: of that, by name.
        warnings: what should not stay as it is.
    """

    repository: Path
    http: str
    grpc: str
    ca: Path | None
    api_key: Path | None
    operator_key: Path | None
    prometheus: str
    release: str
    models: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {name: str(part) if isinstance(part, Path) else part for name, part in asdict(self).items()}


def running(
    services: Mapping[str, Any], repository: Path, *, models: tuple[str, ...], keys: Path | None
) -> Running:
    """Read it off the services, as Compose has their settings filled in.

    repository, models: as of Running.
    keys: the folder of what a client needs; None without TLS and keys.
    """
    release = release_of(services)
    http, grpc = _gateway(services, encrypted=keys is not None)
    (prometheus,) = services["prometheus"]["ports"]
    warnings = [warning_of(release)]
    if not models:
        warnings.append(f"{repository} holds no model; add one with: regard repo add")
    return Running(
        repository=repository,
        http=http,
        grpc=grpc,
        ca=keys and keys / "ca.pem",
        api_key=keys and keys / "api_key",
        operator_key=keys and keys / "operator_key",
        prometheus=f"http://{prometheus['host_ip']}:{prometheus['published']}",
        release=release,
        models=models,
        warnings=tuple(warning for warning in warnings if warning is not None),
    )


def release_of(services: Mapping[str, Any]) -> str:
    """Of NVIDIA's Triton, by the tag of the image.

    Raises:
        InvalidInput: the tag names none.
    """
    image = services["triton-a"]["image"]
    found = re.search(r":(\d\d\.\d\d)-", image)
    if found is None:
        raise InvalidInput(f"the image {image} names no release of Triton; set TRITON_RELEASE, as in 26.10")
    return found[1]


def _gateway(services: Mapping[str, Any], *, encrypted: bool) -> tuple[str, str]:
    """Its addresses for HTTP and for gRPC: one port for both with TLS, one for each without."""
    ports = services["gateway"]["ports"]
    if not encrypted:
        http, grpc = (f"{port['host_ip']}:{port['published']}" for port in ports)
        return f"http://{http}", f"grpc://{grpc}"
    (port,) = ports
    host = _name(port["host_ip"], services["keys"]["entrypoint"])
    return f"https://{host}:{port['published']}", f"grpcs://{host}:{port['published']}"


def _name(bound: str, keys: list[str]) -> str:
    """One that the certificate has: that of this machine to itself, or what others call it.

    keys: the command that makes it, whose last word is `--host=NAME`.
    """
    if ipaddress.ip_address(bound).is_loopback:
        return "localhost"
    return keys[-1].partition("=")[2]
