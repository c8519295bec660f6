"""The options of every verb that speaks to a server: where it is, and how to be let in."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

PANEL = "The server"


class Protocol(str, Enum):
    """What is spoken."""

    grpc = "grpc"
    http = "http"


Url = Annotated[
    str | None,
    typer.Option(
        help=(
            "host:port, http(s)://host/path or grpc(s)://host; by default the environment's REGARD_URL, or "
            "else this machine: 8001 for grpc, 8000 for http."
        ),
        rich_help_panel=PANEL,
    ),
]
ProtocolOption = Annotated[
    Protocol | None,
    typer.Option("--protocol", help="What host:port speaks; grpc by default.", rich_help_panel=PANEL),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        help="File (PEM) of the authority that signed the server's certificate; by default the system's.",
        rich_help_panel=PANEL,
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        help="File (PEM) of your certificate, for a server that asks for one.", rich_help_panel=PANEL
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(help="File (PEM) of its private key, if it is not in the same file.", rich_help_panel=PANEL),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="REGARD_API_KEY",
        help="Sent as x-api-key. Others on this machine can read the command line: rather set the variable.",
        rich_help_panel=PANEL,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="REGARD_TOKEN", help="Sent as authorization: Bearer; likewise.", rich_help_panel=PANEL
    ),
]
Timeout = Annotated[float, typer.Option(help="Seconds for each request.", rich_help_panel=PANEL)]


def client_options(
    url: str | None,
    protocol: Protocol | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    api_key: str | None,
    token: str | None,
    timeout: float,
) -> dict[str, Any]:
    """A command's options for a server, under their names, as `regard.Client` takes them."""
    return {
        "url": url,
        "protocol": protocol and protocol.value,
        "ca": ca,
        "certificate": certificate,
        "key": key,
        "api_key": api_key,
        "token": token,
        "timeout": timeout,
    }
