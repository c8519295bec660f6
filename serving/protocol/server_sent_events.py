"""Server-sent events, as they come in (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import Iterator

DATA = b"data:"


class Events:
    """What has come of a response: its chunks may end anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def whole_in(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that is whole with the next chunk."""
        *whole, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        return (event.removeprefix(DATA) for event in whole if event.startswith(DATA))
