"""Connections: what ends a call, what becomes of a kept one, and the same fault as the same error for all."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.protocol.asking import IMAGE, Ask
from tests.serving.protocol.gateway import Gateway

from regard.errors import InferenceError, RegardError, ServerUnreachable, UnknownName
from regard.serving.bench.run import Options, bench
from regard.serving.bench.target import find_target
from regard.serving.client.sync import Client
from regard.serving.protocol.address import address_of
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.connect import connect
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault, Request
from regard.serving.triton.ports import free_ports

protocols = pytest.mark.parametrize("protocol", ["grpc", "http"])
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def connected(url: str, protocol: str) -> Iterator[Connection]:
    connection = connect(address_of(url, protocol), Credentials())
    try:
        yield connection
    finally:
        connection.close()


def whole_request(near: socket.socket) -> bytes:
    """A request to its end: headers and body may come apart."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += near.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += near.recv(1 << 16)
    return head + b"\r\n\r\n" + body


@contextmanager
def answering(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on loopback that handles each of its connections in a thread: its host:port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(16) as threads:
        open_: list[socket.socket] = []

        def serve(near: socket.socket) -> None:
            with near:
                open_.append(near)
                handle(near)

        def accept() -> None:
            try:
                while True:
                    threads.submit(serve, listener.accept()[0])
            except OSError:
                return  # closed

        threads.submit(accept)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for near in open_:
                with suppress(OSError):  # ended by itself
                    near.shutdown(socket.SHUT_RDWR)


def url_of(served: Any, protocol: str) -> str:
    return str(served.grpc_url if protocol == "grpc" else served.http_url)


@protocols
def test_a_cancelled_call_ends(protocol: str) -> None:
    """The server takes the request and never answers."""
    taken = threading.Event()

    def silent(near: socket.socket) -> None:
        while near.recv(1 << 16):
            taken.set()

    request = Request("m", "", {"x": IMAGE}, None)
    with answering(silent) as url, connected(url, protocol) as connection, ThreadPoolExecutor() as threads:
        cancellation = Cancellation()
        call = threads.submit(connection.infer, request, timeout=60, cancellation=cancellation)
        assert taken.wait(60)
        cancellation.cancel()
        with pytest.raises(Fault, match="CANCELLED"):
            call.result(timeout=60)
        with pytest.raises(Fault, match="CANCELLED"):
            connection.infer(request, timeout=60, cancellation=cancellation)


def test_a_cancelled_call_ends_though_encrypted(gateway: Gateway, served: Any) -> None:
    """In the middle of an answer."""
    files = gateway.certificates.folder
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files / "server.pem", files / "server.key")
    begun = threading.Event()

    def half(near: socket.socket) -> None:
        with context.wrap_socket(near, server_side=True) as encrypted:
            whole_request(encrypted)
            encrypted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
            begun.set()
            encrypted.recv(1)

    with answering(half) as url, ThreadPoolExecutor() as threads:
        connection = connect(address_of(f"https://{url}"), Credentials(ca=files / "ca.pem"))
        cancellation = Cancellation()
        request = Request("m", "", {"x": IMAGE}, None)
        call = threads.submit(connection.infer, request, timeout=60, cancellation=cancellation)
        assert begun.wait(60)
        cancellation.cancel()
        with pytest.raises(Fault, match="CANCELLED"):
            call.result(timeout=60)
        connection.close()


@protocols
def test_a_silent_server_meets_the_timeout(protocol: str) -> None:
    """Also where it does not even say that it speaks the protocol."""

    def silent(near: socket.socket) -> None:
        while near.recv(1 << 16):
            pass

    with answering(silent) as url, connected(url, protocol) as connection:
        start = time.monotonic()
        with pytest.raises(Fault, match="DEADLINE_EXCEEDED"):
            connection.ready(timeout=0.5)
        assert time.monotonic() - start < 30


def test_a_slow_drip_meets_the_timeout_of_the_whole_call() -> None:
    """Each byte comes in time, but all of them do not."""
    stop = threading.Event()

    def drip(near: socket.socket) -> None:
        whole_request(near)
        near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not stop.wait(0.02):
            try:
                near.sendall(b" ")
            except OSError:
                return

    with answering(drip) as url, connected(url, "http") as connection:
        try:
            with pytest.raises(Fault, match="DEADLINE_EXCEEDED"):
                connection.index(timeout=0.3)
        finally:
            stop.set()


INDEX = b'[{"name": "m"}]'
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + INDEX[:5] + b"\r\na\r\n" + INDEX[5:] + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("rest", "kept"),
    [
        (b"Content-Length: 15\r\n\r\n" + INDEX, True),
        (b"content-length: 15\r\nConnection: close\r\n\r\n" + INDEX, False),
        (CHUNKED, True),
        (b"\r\n" + INDEX, False),
    ],
    ids=["length", "length and end", "chunks", "end"],
)
def test_however_a_body_ends(rest: bytes, kept: bool) -> None:
    def once(near: socket.socket) -> None:
        whole_request(near)
        near.sendall(b"HTTP/1.1 200 OK\r\n" + rest)
        if kept:
            near.recv(1)  # until it is closed

    with answering(once) as url, connected(url, "http") as connection:
        assert connection.index(timeout=60) == [{"name": "m"}]
        (line,) = connection._idle  # type: ignore[attr-defined]
        assert line.usable is kept


def test_half_a_body_is_no_answer() -> None:
    def once(near: socket.socket) -> None:
        whole_request(near)
        near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + INDEX)

    with answering(once) as url, connected(url, "http") as connection:
        with pytest.raises(Fault, match="UNAVAILABLE: it closed the connection") as caught:
            connection.index(timeout=60)
        assert not caught.value.answered


def test_lines_that_the_server_closed_are_not_used_again() -> None:
    """As after a restart: more of them than a client would try."""
    count, served = 6, []
    together, close = threading.Barrier(count), threading.Event()

    def once(near: socket.socket) -> None:
        served.append(whole_request(near))
        if len(served) <= count:
            together.wait(60)
        near.sendall(READY)
        if len(served) <= count:
            close.wait(60)

    with (
        answering(once) as url,
        connected(url, "http") as connection,
        ThreadPoolExecutor(count) as threads,
    ):
        calls = [threads.submit(connection.ready, timeout=60) for _ in range(count)]
        assert all(call.result() for call in calls)
        close.set()
        deadline = time.monotonic() + 60
        while any(line.usable for line in connection._idle):  # type: ignore[attr-defined]
            assert time.monotonic() < deadline
        assert connection.ready(timeout=60)
    assert len(served) == count + 1


@protocols
def test_prepared_requests_are_sent_and_counted(served: Any, protocol: str) -> None:
    request = Request(served.classifier, "", {"image": IMAGE[None]}, ("probabilities",))
    with connected(url_of(served, protocol), protocol) as connection:
        message, send = connection.prepare(request), connection.sender(60)
        counts = {send(message) for _ in range(5)}
        assert len(message.body) > IMAGE.nbytes
        assert 40 < min(counts) <= max(counts) < 500  # ten float32 and their description
        np.testing.assert_allclose(
            connection.infer(request, timeout=60).arrays["probabilities"].sum(), 1, atol=1e-5
        )
        wrong = connection.prepare(Request("nothing", "", {"image": IMAGE[None]}))
        with pytest.raises(Fault) as caught:
            send(wrong)
        assert caught.value.answered
        assert send(message) in counts


@protocols
def test_a_sender_goes_on_after_the_server_was_away(protocol: str) -> None:
    (port,) = free_ports(1)
    with connected(f"127.0.0.1:{port}", protocol) as connection:
        send = connection.sender(2)
        message = connection.prepare(Request("m", "", {"x": IMAGE}))
        for _ in range(2):
            with pytest.raises(Fault, match="UNAVAILABLE: Connection refused") as caught:
                send(message)
            assert not caught.value.answered


def error_of(do: Callable[[], object]) -> RegardError:
    with pytest.raises(RegardError) as caught:
        do()
    return caught.value


def errors_of(url: str, model: str, ask: Ask, tmp_path: Path, protocol: str) -> list[RegardError]:
    """Of a client and of a benchmark."""
    from PIL import Image

    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    options = Options(model, url=url, protocol=protocol, endpoint="tensor", images=tmp_path)
    return [
        error_of(lambda: ask(url, model, protocol=protocol)),
        error_of(lambda: bench(options)),
    ]


@protocols
def test_an_unknown_model_is_the_same_error_for_all(
    served: Any, ask: Ask, tmp_path: Path, protocol: str
) -> None:
    first, second = errors_of(url_of(served, protocol), "tiny_classifer", ask, tmp_path, protocol)
    assert type(first) is type(second) is UnknownName
    assert str(first) == str(second)
    assert f"Did you mean '{served.classifier}'" in str(first)


@protocols
def test_no_server_is_the_same_error_for_all(ask: Ask, tmp_path: Path, protocol: str) -> None:
    (port,) = free_ports(1)
    first, second = errors_of(f"127.0.0.1:{port}", "any", ask, tmp_path, protocol)
    assert type(first) is type(second) is ServerUnreachable
    assert str(first) == str(second)


def test_a_bad_request_is_the_same_error_over_both(served: Any) -> None:
    found = []
    for protocol in ("grpc", "http"):
        with Client(url_of(served, protocol), protocol=protocol) as client:  # type: ignore[arg-type]
            found.append(
                error_of(lambda: client.infer(served.classifier, {"image": IMAGE[None].astype(np.float32)}))
            )
    assert all(isinstance(error, InferenceError) and error.code == "INVALID_ARGUMENT" for error in found)
    assert str(found[0]) == str(found[1])


@protocols
def test_everybody_takes_every_form_of_an_address(
    served: Any, ask: Ask, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = url_of(served, protocol).rpartition(":")[2]
    for url in (f"127.0.0.1:{port}", f"localhost:{port}", f"{protocol}://127.0.0.1:{port}"):
        assert ask(url, served.classifier, protocol=protocol).label
        with connected(url, protocol) as connection:
            target = find_target(
                connection, served.classifier, endpoint="tensor", batch=1, images=None, shared_memory=False
            )
            assert target.card.name == served.classifier
    monkeypatch.setenv("REGARD_URL", f"{protocol}://127.0.0.1:{port}")
    with Client() as client:
        assert client.ready()
