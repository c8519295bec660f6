"""A server in the place of a colour: it tells what reached it, and answers as a test wants."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from tests.serving.deploy.local_gateway import Ports


@dataclass(frozen=True)
class Reached:
    """A request as it came in. path: for gRPC the method's. size: of the body, in bytes."""

    method: str
    path: str
    headers: dict[str, str]
    size: int


@dataclass
class Upstream:
    """A running one. ended: the gRPC calls that are over, in whatever way. slow: requests are held until it
    is set. silent: the connection is closed without an answer.
    """

    ports: Ports
    reached: list[Reached] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    slow: threading.Event | None = None
    silent: bool = False

    def wait(self) -> None:
        if self.slow is not None:
            self.slow.wait(60)


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run one on free ports: HTTP, gRPC and the supervisor's page."""
    running = Upstream(Ports.free())
    with _http(running, running.ports.http), _http(running, running.ports.status), _grpc(running):
        yield running


@contextmanager
def _http(running: Upstream, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = self._read()
            headers = {name.lower(): value for name, value in self.headers.items()}
            running.reached.append(Reached(self.command, self.path, headers, size))
            running.wait()
            if running.silent:
                self.close_connection = True
                return
            body = json.dumps({"path": self.path}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

        def _read(self) -> int:
            if self.headers.get("transfer-encoding") != "chunked":
                return len(self.rfile.read(int(self.headers.get("content-length", 0))))
            total = 0
            while size := int(self.rfile.readline(), 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return total

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Calls(grpc.GenericRpcHandler):
    def __init__(self, running: Upstream) -> None:
        self.running = running

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        headers = {name: str(value) for name, value in handler_call_details.invocation_metadata}

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.add_callback(lambda: self.running.ended.append(handler_call_details.method))
            self.running.reached.append(Reached("POST", handler_call_details.method, headers, len(request)))
            self.running.wait()
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def _grpc(running: Upstream) -> Iterator[None]:
    with ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool, options=[("grpc.max_receive_message_length", -1)])
        server.add_generic_rpc_handlers((_Calls(running),))
        server.add_insecure_port(f"127.0.0.1:{running.ports.grpc}")
        server.start()
        try:
            yield
        finally:
            server.stop(None).wait()
