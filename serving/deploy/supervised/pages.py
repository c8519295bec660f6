"""What a colour tells over HTTP: /status (JSON), /health (200 or 503) and /metrics (for Prometheus)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from regard.errors import ServerError
from regard.serving.deploy.supervised.metrics import exposition
from regard.serving.deploy.supervised.status import Status

PATIENCE = 5.0  # seconds for a request to arrive
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Told(Protocol):
    """Whose pages they are; see `Colour`."""

    def status(self) -> Status:
        """At no cost."""
        ...

    def measured(self) -> Status:
        """With what costs its server a moment."""
        ...


@contextmanager
def pages(host: str, port: int, told: Told) -> Iterator[None]:
    """Answer on a port during the block.

    Raises:
        ServerError: it cannot be listened on.
    """
    try:
        server = _Server((host, port), _handler(told))
    except (OSError, OverflowError) as error:
        raise ServerError(
            f"cannot listen on {host}:{port} ({error}); choose another port for the status"
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a slow reader holds nothing up


def _handler(told: Told) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            if self.path == "/status":
                self._answer(200, json.dumps(asdict(told.measured())), "application/json")
            elif self.path == "/health":
                now = told.status()
                self._answer(200 if now.healthy else 503, now.state + "\n", TEXT)
            elif self.path == "/metrics":
                self._answer(200, exposition(told.measured()), TEXT)
            else:
                self._answer(404, "there are /status, /health and /metrics\n", TEXT)

        def log_message(self, format: str, *args: object) -> None:
            """Each scrape is no event."""

        def _answer(self, code: int, text: str, kind: str) -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            with suppress(ConnectionError):  # the reader has gone
                self.end_headers()
                self.wfile.write(body)

    return Handler
