"""A real forward proxy: CONNECT tunnels, and requests for absolute URLs. It alone knows where names lead."""

import http.client
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class ForwardProxy(ThreadingHTTPServer):
    """leads: from the host:port that is asked for to the one that is meant. seen: (method, target, the login
    shown) of every request.
    """

    daemon_threads = True

    def __init__(self, leads: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.leads = leads
        self.seen: list[tuple[str, str, str | None]] = []

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ForwardProxy

    def do_CONNECT(self) -> None:
        there = self._lead(self.path)
        if there is None:
            return
        with socket.create_connection(there) as far:
            self.send_response(200)
            self.end_headers()
            near = self.connection
            while readable := select.select([near, far], [], [])[0]:
                for end in readable:
                    content = end.recv(1 << 16)
                    if not content:
                        self.close_connection = True
                        return
                    (far if end is near else near).sendall(content)

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        there = self._lead(url.netloc)
        if there is None:
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name != "Proxy-Authorization"}
        connection = http.client.HTTPConnection(*there)
        try:
            connection.request(self.command, url.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _lead(self, authority: str) -> tuple[str, int] | None:
        self.server.seen.append((self.command, self.path, self.headers["Proxy-Authorization"]))
        if authority not in self.server.leads:
            self.send_error(403)
            return None
        host, _, port = self.server.leads[authority].rpartition(":")
        return host, int(port)


@contextmanager
def forward_proxy(leads: Mapping[str, str]) -> Iterator[ForwardProxy]:
    """Run a proxy."""
    with ForwardProxy(leads) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
