"""A real front before a server that says what reached it."""

import gzip
import http.client
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

import grpc
import pytest

from regard.serving.triton.front.log import OneLine
from regard.serving.triton.front.places import AHEAD
from regard.serving.triton.front.process import FrontProcess
from regard.serving.triton.front.settings import Settings
from regard.serving.triton.ports import free_ports

INFER = "/v2/models/net/infer"


class Upstream(BaseHTTPRequestHandler):
    """Answers what it was sent, with a header of its own, compressed if asked; ?close ends in the middle, and
    ?wait waits for `go`. paths: what was asked.
    """

    protocol_version = "HTTP/1.1"
    arrived = Event()
    go = Event()
    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        said = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(size).decode(errors="replace"),
        }
        body = json.dumps(said).encode()
        if "wait" in self.path:
            self.arrived.set()
            assert self.go.wait(60)
        if self.path.endswith("/generate_stream"):
            self.tell_word_by_word()
            return
        if self.path.endswith("/config"):
            body = json.dumps({"instance_group": [{"count": 1}]}).encode()
        self.send_response(404 if "nobody" in self.path else 200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Inference-Header-Content-Length", "12")
        self.send_header("Content-Length", str(len(body) + ("close" in self.path)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "close" in self.path

    def tell_word_by_word(self) -> None:
        """The second word when `go` lets it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in (b"one", b"two"):
            self.wfile.write(b"b\r\ndata: %s\n\n\r\n" % word)
            self.wfile.flush()
            assert self.go.wait(60)
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Asking:
    """Requests to a front, each over a connection of its own."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key

    def __call__(
        self, path: str, body: Any = None, method: str = "POST", **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named, encode_chunked="Transfer-Encoding" in named)
            response = connection.getresponse()
            raw = response.read()
            if response.headers["Content-Encoding"] == "gzip":
                raw = gzip.decompress(raw)
            return response.status, json.loads(raw), response.headers
        finally:
            connection.close()


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """A front that takes 1000 bytes, 300 of them JSON, and 1500 at a time."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = Thread(target=upstream.serve_forever)
    thread.start()
    (port,) = free_ports(1)
    settings = Settings(
        host="127.0.0.1",
        port=port,
        upstream=f"127.0.0.1:{upstream.server_port}",
        key_header="regard-front",
        key="the key",
        max_body=1000,
        max_json=300,
        max_in_flight=1500,
        body_timeout=0.5,
    )
    told = tmp_path_factory.mktemp("front") / "log"
    with told.open("wb") as log:
        front = FrontProcess(settings, log)
        try:
            wait_for(port)
            yield Asking(port, settings.key)
        finally:
            front.stop()
            upstream.shutdown()
            thread.join()
            upstream.server_close()
    assert not front.alive
    assert told.read_text() == ""


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "the front does not listen"
        time.sleep(0.02)


def head(**parameters: Any) -> bytes:
    tensor = {"name": "image", "shape": [1, 4], "datatype": "UINT8"} | (
        {"parameters": parameters} if parameters else {"data": [1, 2, 3, 4]}
    )
    return json.dumps({"inputs": [tensor]}).encode()


def test_what_passes_is_not_changed(ask: Asking) -> None:
    first = head(binary_data_size=4)
    sizes = {"Inference_Header_Content_Length": str(len(first))}
    path = f"{INFER.replace('net', 'a%2Fb')}?x=%20y"
    status, said, headers = ask(path, first + b"abcd", X_Own="mine", regard_front="a guess", **sizes)
    assert (status, said["method"], said["path"]) == (200, "POST", path)
    assert said["body"] == first.decode() + "abcd"
    assert (said["headers"]["x-own"], said["headers"]["regard-front"]) == ("mine", ask.key)
    assert said["headers"]["host"] == f"127.0.0.1:{ask.port}"
    assert {"user-agent", "accept", "content-type"}.isdisjoint(said["headers"])
    assert headers["Inference-Header-Content-Length"] == "12"


def test_answers_keep_status_and_encoding(ask: Asking) -> None:
    status, said, headers = ask("/v2/models/nobody", method="GET", Accept_Encoding="gzip")
    assert (status, said["method"], headers["Content-Encoding"]) == (404, "GET", "gzip")


def test_a_body_in_chunks_arrives_whole(ask: Asking) -> None:
    chunks = iter([head()[:20], head()[20:]])
    status, said, _ = ask(INFER, chunks, Transfer_Encoding="chunked")
    assert (status, said["body"]) == (200, head().decode())
    status, said, _ = ask(INFER, iter([b"x" * 600] * 2), Transfer_Encoding="chunked")
    assert (status, "1000 are the most" in said["error"]) == (413, True)


def test_who_waits_to_be_asked_for_the_body(ask: Asking) -> None:
    with socket.create_connection(("127.0.0.1", ask.port), timeout=60) as line:
        line.sendall(
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
            % (INFER.encode(), len(head()))
        )
        assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(head())
        assert line.recv(10000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        (INFER, b"x" * 1001, {}, 413, "1000 are the most"),
        (INFER, b"x" * 301, {}, 413, "300 are the most"),
        (INFER, b"x" * 400, {"Inference_Header_Content_Length": "301"}, 413, "300 are the most"),
        ("/v2/repository/index", b"x" * 301, {}, 413, "300 are the most"),
        (INFER, gzip.compress(head()), {"Content_Encoding": "gzip"}, 415, "send it as it is"),
        (INFER, b"[" * 300, {}, 400, "JSON"),
        (INFER, head(), {"Inference_Header_Content_Length": "x"}, 400, "how many"),
        (f"{INFER}?x=y", b"{}", {}, 400, "inputs"),
        ("/v2/models/net/versions/1/infer", b"{}", {}, 400, "inputs"),
        ("/v2/logging", b"{", {}, 400, "JSON"),
        (f"http://127.0.0.1{INFER}", head(), {}, 400, "must begin with /"),
        (f"/v2/models/{'a' * 1024}/infer", head(), {}, 414, "1024 are the most"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_pass(
    ask: Asking, path: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    found, said, _ = ask(path, body, **headers)
    assert (found, words in said["error"]) == (status, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[1]", "must be a JSON object"),
        (b'{"question": {"text": "why"}}', "must be a string, a number or a list"),
        (b'{"question": [["why"]]}', "must be a string, a number or a list"),
        (b'{"question": null}', "must be a string, a number or a list"),
        (b'{"question": "why", "parameters": [1]}', "parameters of the request must be a JSON object"),
        (b'{"question": "why", "parameters": {"timeout": "soon"}}', "timeout of the request's parameters"),
        (b"", "not JSON"),
    ],
)
@pytest.mark.parametrize("how", ["generate", "generate_stream"])
def test_what_cannot_be_generated_from(ask: Asking, how: str, body: bytes, words: str) -> None:
    status, said, _ = ask(f"/v2/models/net/{how}", body)
    assert (status, words in said["error"]) == (400, True)


def test_generated_words_pass_as_they_come(ask: Asking) -> None:
    Upstream.go.clear()
    connection = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=60)
    try:
        connection.request("POST", "/v2/models/net/generate_stream", json.dumps({"question": "why"}))
        response = connection.getresponse()
        assert response.status == 200
        assert response.readline() == b"data: one\n"  # while the second is not yet there
        Upstream.go.set()
        assert response.read() == b"\ndata: two\n\n"
    finally:
        Upstream.go.set()
        connection.close()


def test_one_tensor_alone_is_no_json(ask: Asking) -> None:
    status, said, _ = ask(INFER, b"\xff" * 900, Inference_Header_Content_Length="0")
    assert (status, len(said["body"])) == (200, 900)


def test_a_body_that_does_not_come(ask: Asking) -> None:
    with socket.create_connection(("127.0.0.1", ask.port), timeout=60) as line:
        line.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc" % INFER.encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 408")


def test_an_answer_that_breaks_off_is_no_whole_one(ask: Asking) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask("/v2?close", method="GET")


def test_more_than_is_answered_at_a_time(ask: Asking) -> None:
    def large(path: str) -> int:
        return ask(path, b"x" * 900, Inference_Header_Content_Length="0")[0]

    Upstream.arrived.clear()
    Upstream.go.clear()
    with ThreadPoolExecutor() as pool:
        try:
            first = pool.submit(large, f"{INFER}?wait")
            assert Upstream.arrived.wait(60)
            assert large(INFER) == 503
            assert ask("/v2/health/ready", method="GET")[0] == 200
        finally:
            Upstream.go.set()
        assert first.result() == 200
    assert large(INFER) == 200


def test_who_would_come_too_late_is_refused_at_once(ask: Asking) -> None:
    """The one instance is at work; the next would be answered after it."""

    def within(path: str, microseconds: int) -> tuple[int, Any]:
        request = json.loads(head()) | {"parameters": {"timeout": microseconds}}
        return ask(path, json.dumps(request).encode())[:2]

    Upstream.arrived.clear()
    Upstream.go.clear()
    path = "/v2/models/busy/infer"
    with ThreadPoolExecutor() as pool:
        try:
            assert within(path, 1)[0] == 200  # nobody is before it
            first = pool.submit(within, f"{path}?wait", 10_000_000)
            assert Upstream.arrived.wait(60)
            status, said = within(path, 1)
            assert (status, "1 requests are before this one" in said["error"]) == (503, True)
            assert within("/v2/models/idle/infer", 1)[0] == 200
            assert within(path, 60_000_000)[0] == 200
        finally:
            Upstream.go.set()
        assert first.result()[0] == 200


def test_a_caller_who_does_not_wait(ask: Asking) -> None:
    Upstream.arrived.clear()
    Upstream.go.clear()
    with socket.create_connection(("127.0.0.1", ask.port), timeout=60) as line:
        line.sendall(b"GET /v2?wait HTTP/1.1\r\nHost: a\r\n\r\n")
        assert Upstream.arrived.wait(60)
    Upstream.go.set()
    assert ask("/v2", method="GET")[0] == 200


def test_who_goes_while_he_waits_is_never_sent(ask: Asking) -> None:
    """One instance: Triton has AHEAD requests, and the others wait in the front."""
    Upstream.arrived.clear()
    Upstream.go.clear()
    path = "/v2/models/patient/infer"
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        try:
            first = [pool.submit(ask, f"{path}?wait={number}", head()) for number in range(AHEAD)]
            eventually(lambda: sum(f"{path}?wait" in each for each in Upstream.paths) == AHEAD)
            for _ in range(3):
                line = stack.enter_context(socket.create_connection(("127.0.0.1", ask.port), timeout=60))
                length = f"Content-Length: {len(head())}"
                line.sendall(f"POST {path}?gone HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n".encode() + head())
            last = pool.submit(ask, f"{path}?last", head())
            time.sleep(0.2)  # they are in the queue
            stack.close()
            assert not any("gone" in each or "last" in each for each in Upstream.paths)
        finally:
            Upstream.go.set()
        assert [each.result()[0] for each in [*first, last]] == [200] * (AHEAD + 1)
    assert not any("gone" in each for each in Upstream.paths)


def test_nobody_behind_it(tmp_path: Path) -> None:
    """As if the front were not there."""
    port, nobody = free_ports(2)
    with (tmp_path / "log").open("wb") as log:
        front = FrontProcess(Settings("127.0.0.1", port, f"127.0.0.1:{nobody}", "a", "b"), log)
        try:
            wait_for(port)
            with pytest.raises(ConnectionError):
                Asking(port, "b")("/v2/health/ready", method="GET")
        finally:
            front.stop()
    assert (tmp_path / "log").read_text() == ""


def test_a_callers_fault_is_one_line_of_the_log(tmp_path: Path) -> None:
    """What came and from where; not what was sent, which may hold a key."""
    port, nobody = free_ports(2)
    path = tmp_path / "log"
    with path.open("wb") as log:
        front = FrontProcess(Settings("127.0.0.1", port, f"127.0.0.1:{nobody}", "a", "b"), log)
        try:
            wait_for(port)
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError):
                channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=60)
            with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
                line.sendall(b"GET /v2 HTTP/1.1\r\nX-Api-Key: secret\x01\r\n\r\n")
                assert line.recv(1000).startswith(b"HTTP/1.0 400")
            with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
                line.sendall(b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
                line.shutdown(socket.SHUT_WR)
                assert line.recv(1000) == b""
        finally:
            front.stop()
    of_grpc, bad, broken = dict.fromkeys(path.read_text().splitlines())  # gRPC may try again
    assert "from 127.0.0.1: a gRPC client spoke to the HTTP port; let it speak to the port of gRPC" in of_grpc
    assert bad.endswith("from 127.0.0.1: bad HTTP, Invalid header value char")
    assert broken.endswith("from 127.0.0.1: it broke off before it had arrived")


def test_a_bug_keeps_its_traceback() -> None:
    try:
        raise KeyError("a bug")
    except KeyError:
        record = logging.LogRecord("any", logging.ERROR, "", 0, "request from %s", ("me",), sys.exc_info())
    assert OneLine().format(record).startswith("request from me\nTraceback")
