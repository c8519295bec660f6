"""The stack's gateway, asked without a client of ours."""

import json
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

HOST, PORT = "localhost", 8443


@dataclass(frozen=True)
class Answer:
    """What came: its status, its headers by their names in lower case, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class GatewayKeys:
    """What callers show and trust. folder: a copy of the volume `client-keys`."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def client(self) -> str:
        return (self.folder / "api_key").read_text().strip()

    @property
    def operator(self) -> str:
        return (self.folder / "operator_key").read_text().strip()

    def ask(
        self,
        path: str,
        *,
        key: str | None = None,
        method: str = "GET",
        body: bytes | Iterable[bytes] | None = None,
        **headers: str,
    ) -> Answer:
        """An answer of the gateway.

        body: an iterable is sent in chunks, until there is an answer. headers: with _ for -.
        """
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        shown |= {} if key is None else {"x-api-key": key}
        connection = HTTPSConnection(
            HOST, PORT, context=ssl.create_default_context(cafile=str(self.ca)), timeout=60
        )
        try:
            with suppress(OSError):  # the gateway has heard enough
                connection.request(method, path, body, shown, encode_chunked=True)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def status(self, colour: str) -> dict[str, Any]:
        """What a colour's supervisor says of itself, to the operator."""
        answer = self.ask("/regard/status", key=self.operator, regard_colour=colour)
        assert answer.status == 200, answer
        said: dict[str, Any] = answer.json()
        return said
