"""What a client may rely on: nothing unsafe is repeated, and a deadline holds, whatever a server does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import numpy as np
import pytest

from regard import Client
from regard.errors import InferenceError, RegardError
from regard.serving.client.retry import passing
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.wire import Answer, Fault, Request

INPUTS = {"image": np.zeros((1, 128, 128, 3), np.uint8)}
TIMEOUT = 0.7
ANY_MACHINE = 30.0  # seconds: far from TIMEOUT, and less than any deadline that is not the caller's


@pytest.mark.parametrize("code", [each.name for each in grpc.StatusCode])
@pytest.mark.parametrize("met", [False, True])
def test_only_what_passes_by_itself_is_repeated(code: str, met: bool) -> None:
    """An inference changes nothing: it may be sent again. What was refused would be refused again."""
    again = code in ("UNAVAILABLE", "CANCELLED") or (code == "NOT_FOUND" and met)
    assert passing(Fault(code, "no"), met=met) is again
    assert not passing(Fault("UNAVAILABLE", "this API is restricted, expecting header 'x'"), met=met)


class Refusing:
    """A server that takes no shared memory."""

    def __init__(self) -> None:
        self.registered = 0
        self.inferred = 0

    def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        self.registered += 1
        raise Fault("UNAVAILABLE", "try again")

    def unregister(self, region: str, *, timeout: float) -> None: ...

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer:
        self.inferred += 1
        return Answer({"label_map": np.zeros((1, 1, 1), np.uint8)})

    def close(self) -> None: ...


def test_shared_memory_is_not_registered_twice() -> None:
    server: Any = Refusing()
    with Client(transport=server) as client:
        client.infer("net", INPUTS)
    assert (server.registered, server.inferred) == (1, 1)


@contextmanager
def accepting(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does no more than that with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, suppress(OSError):
        held = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    answer(held[-1])

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for connection in held:
            connection.close()


def never(connection: socket.socket) -> None:
    """Accept, and never answer."""


def reset(connection: socket.socket) -> None:
    """Accept, and reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def greet(connection: socket.socket) -> None:
    """Say something that is neither protocol."""
    with suppress(OSError):
        connection.sendall(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("server", [never, reset, greet])
def test_a_deadline_holds(server: Callable[[socket.socket], None], protocol: str) -> None:
    with accepting(server) as port, Client(f"{protocol}://127.0.0.1:{port}", shared_memory=False) as client:
        begun = time.monotonic()
        with pytest.raises(RegardError) as caught:
            client.infer("net", INPUTS, timeout=TIMEOUT)
        assert time.monotonic() - begun < ANY_MACHINE
    if server is never:
        assert isinstance(caught.value, InferenceError)
        assert caught.value.code == "DEADLINE_EXCEEDED"
