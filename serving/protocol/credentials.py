"""What a client shows to be let in, and whom it trusts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regard.errors import InvalidInput

API_KEY = "x-api-key"
AUTHORIZATION = "authorization"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """All of them are for the server alone: proxies never see them on an encrypted connection.

    Args:
        ca: file (PEM) of the authorities that are trusted, in place of the system's.
        certificate: file (PEM) of the client's certificate, with those between it and the server's CA.
        key: file (PEM) of its private key; None where the certificate's file holds it.
        api_key: sent with every request as `x-api-key`.
        token: sent with every request as `authorization: Bearer`.
        headers: sent with every request, such as those that a restricted Triton asks for.

    Raises:
        InvalidInput: a key without its certificate, a header given twice, or one that cannot be sent.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise InvalidInput(f"the private key {self.key} goes with a certificate; give that too")
        seen: set[str] = set()
        for name, value, what in self._sent():
            if not _NAME.fullmatch(name):
                raise InvalidInput(f"a header's name has letters, digits and dashes, got {name!r}")
            if not _VALUE.fullmatch(value):
                raise InvalidInput(
                    f"{what} must be one line of ASCII without blanks at its ends; perhaps it was read "
                    "from a file, with the line's end"
                )
            if name in seen:
                raise InvalidInput(
                    f"{name} would be sent twice; leave it out of the headers, or give it only there"
                )
            seen.add(name)

    @property
    def sent_headers(self) -> dict[str, str]:
        """What goes with every request; names in lower case, as gRPC wants them."""
        return {name: value for name, value, _ in self._sent()}

    def _sent(self) -> Iterator[tuple[str, str, str]]:
        """Name, value, and what a message may call it."""
        for name, value in self.headers.items():
            yield name.lower(), value, f"header {name!r}"
        if self.api_key is not None:
            yield API_KEY, self.api_key, "the API key"
        if self.token is not None:
            if not self.token:  # would pass as the word Bearer
                raise InvalidInput("the token is empty; give one, or leave it out")
            yield AUTHORIZATION, f"Bearer {self.token}", "the token"
