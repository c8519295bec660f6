"""Inferences over gRPC that are given up: the caller goes, and the server hears neither of a deadline nor of
a cancellation.
"""

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from regard.serving.protocol import grpc_open_calls
from regard.serving.protocol.address import address_of
from regard.serving.protocol.async_connection import AsyncConnection
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.connect import connect, connect_async
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault, Request

REQUEST = Request("m", "", {"x": np.zeros((1, 2), np.uint8)})
LONG = 60.0  # seconds


class Slow:
    """A server whose inferences end when they are told to.

    ends: of each inference, whether it was cancelled before. limits: the seconds that each was given.
    """

    def __init__(self) -> None:
        self.begun, self.cancelled, self.let_go = threading.Event(), threading.Event(), threading.Event()
        self.ends: list[bool] = []
        self.limits: list[float] = []
        self._server = grpc.server(ThreadPoolExecutor(grpc_open_calls.MOST + 4))
        methods = {"ModelInfer": self._infer, "ServerReady": self._ready}
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "inference.GRPCInferenceService",
                    {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()},
                )
            ]
        )
        self.url = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self.let_go.set()
        self._server.stop(None).wait()

    def _infer(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        self.limits.append(context.time_remaining())
        context.add_callback(lambda: None if self.let_go.is_set() else self.cancelled.set())
        self.begun.set()
        self.let_go.wait(LONG)
        self.ends.append(not context.is_active())
        return service_pb2.ModelInferResponse().SerializeToString()

    def _ready(self, *_: object) -> bytes:
        return service_pb2.ServerReadyResponse(ready=True).SerializeToString()


@pytest.fixture
def slow() -> Iterator[Slow]:
    server = Slow()
    yield server
    server.stop()


def timed_out(connection: Connection, _: Slow) -> None:
    with pytest.raises(Fault, match="DEADLINE_EXCEEDED"):
        connection.infer(REQUEST, timeout=0.2)


def cancelled(connection: Connection, slow: Slow) -> None:
    cancellation = Cancellation()
    with ThreadPoolExecutor() as threads:
        call = threads.submit(connection.infer, REQUEST, timeout=LONG, cancellation=cancellation)
        assert slow.begun.wait(LONG)
        cancellation.cancel()
        with pytest.raises(Fault, match="CANCELLED"):
            call.result(LONG)


class Watched(Cancellation):
    """Tells when somebody waits under it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()

    @contextmanager
    def on(self, action: Callable[[], object]) -> Iterator[None]:
        with super().on(action):
            self.waiting.set()
            yield


def interrupted(connection: Connection, slow: Slow) -> None:
    """Ctrl-C, sent until it is noticed: Python sleeps on where a signal comes just before it waits."""
    main = threading.main_thread().ident
    assert main is not None

    cancellation, over = Watched(), threading.Event()

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    def interrupt() -> None:
        slow.begun.wait(LONG)
        cancellation.waiting.wait(LONG)
        while not over.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            over.wait(0.1)

    before = signal.signal(signal.SIGINT, once)
    try:
        with ThreadPoolExecutor() as threads:
            threads.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                connection.infer(REQUEST, timeout=LONG, cancellation=cancellation)
            over.set()
    finally:
        signal.signal(signal.SIGINT, before)


async def timed_out_task(connection: AsyncConnection, _: Slow) -> None:
    with pytest.raises(Fault, match="DEADLINE_EXCEEDED"):
        await connection.infer(REQUEST, timeout=0.2)


async def cancelled_task(connection: AsyncConnection, slow: Slow) -> None:
    task = asyncio.create_task(connection.infer(REQUEST, timeout=LONG))
    assert await asyncio.to_thread(slow.begun.wait, LONG)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancellation_would_be_seen(slow: Slow) -> None:
    with grpc.insecure_channel(slow.url) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer").future(b"", timeout=5)
        assert slow.begun.wait(LONG)
        assert slow.limits[0] <= 5.5  # gRPC reads its clock at other moments: 5.009 was seen
        call.cancel()
        assert slow.cancelled.wait(LONG)


@pytest.mark.parametrize("give_up", [timed_out, cancelled, interrupted])
def test_who_gives_up_cancels_nothing(slow: Slow, give_up: Callable[[Connection, Slow], None]) -> None:
    """Nor does closing the connection, which waits for the end."""
    connection = connect(address_of(slow.url, "grpc"), Credentials())
    give_up(connection, slow)
    gc.collect()  # gRPC cancels calls that nobody holds
    assert connection.ready(timeout=LONG)  # it goes on, and what was sent before has arrived
    with ThreadPoolExecutor() as threads:
        closed = threads.submit(connection.close)
        assert not slow.cancelled.wait(0.3)
        assert not closed.done()
        slow.let_go.set()
        closed.result(LONG)
    assert slow.ends == [False]
    assert min(slow.limits) > grpc_open_calls.LIMIT / 2


@pytest.mark.parametrize("give_up", [timed_out_task, cancelled_task])
def test_a_task_that_gives_up_cancels_nothing(slow: Slow, give_up: Callable[..., object]) -> None:
    async def main() -> None:
        connection = connect_async(address_of(slow.url, "grpc"), Credentials())
        await give_up(connection, slow)  # type: ignore[misc]
        gc.collect()
        assert await connection.ready(timeout=LONG)
        closed = asyncio.create_task(connection.close())
        assert not await asyncio.to_thread(slow.cancelled.wait, 0.3)
        assert not closed.done()
        slow.let_go.set()
        await closed
        assert slow.ends == [False]

    asyncio.run(main())
    assert min(slow.limits) > grpc_open_calls.LIMIT / 2


def test_a_model_with_many_calls_given_up_is_sent_no_more_until_one_ends(slow: Slow) -> None:
    connection = connect(address_of(slow.url, "grpc"), Credentials())
    for _ in range(grpc_open_calls.MOST + 1):
        timed_out(connection, slow)
    assert connection.ready(timeout=LONG)
    assert len(slow.limits) == grpc_open_calls.MOST
    cancellation = Cancellation()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(connection.infer, REQUEST, timeout=LONG, cancellation=cancellation)
        second = threads.submit(connection.infer, REQUEST, timeout=LONG)
        cancellation.cancel()
        with pytest.raises(Fault, match="CANCELLED"):
            first.result(LONG)
        assert len(slow.limits) == grpc_open_calls.MOST
        with pytest.raises(Fault, match="DEADLINE_EXCEEDED"):
            connection.infer(replace(REQUEST, model="other"), timeout=0.2)
        assert len(slow.limits) == grpc_open_calls.MOST + 1
        slow.let_go.set()
        assert second.result(LONG).arrays == {}
    connection.close()
    assert not any(slow.ends)


def test_a_model_with_many_tasks_given_up_is_sent_no_more_until_one_ends(slow: Slow) -> None:
    async def main() -> None:
        connection = connect_async(address_of(slow.url, "grpc"), Credentials())
        for _ in range(grpc_open_calls.MOST + 1):
            await timed_out_task(connection, slow)
        assert await connection.ready(timeout=LONG)
        assert len(slow.limits) == grpc_open_calls.MOST
        waiting = asyncio.create_task(connection.infer(REQUEST, timeout=LONG))
        with pytest.raises(Fault, match="DEADLINE_EXCEEDED"):
            await connection.infer(replace(REQUEST, model="other"), timeout=0.2)
        assert len(slow.limits) == grpc_open_calls.MOST + 1
        slow.let_go.set()
        assert (await waiting).arrays == {}
        await connection.close()

    asyncio.run(main())
    assert not any(slow.ends)


def test_a_close_waits_no_longer_than_its_grace(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_open_calls, "GRACE", 0.1)
    connection = connect(address_of(slow.url, "grpc"), Credentials())
    timed_out(connection, slow)
    timed_out(connection, slow)
    start = time.monotonic()
    connection.close()
    assert time.monotonic() - start < LONG / 2
    assert slow.cancelled.wait(LONG)


def test_an_awaited_close_waits_no_longer_than_its_grace(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.serving.protocol.grpc_async_connection.GRACE", 0.1)

    async def main() -> None:
        connection = connect_async(address_of(slow.url, "grpc"), Credentials())
        await timed_out_task(connection, slow)
        await asyncio.wait_for(connection.close(), LONG / 2)

    asyncio.run(main())
    assert slow.cancelled.wait(LONG)


def test_a_call_that_another_thread_waits_for_may_end_while_the_connection_closes(slow: Slow) -> None:
    connection = connect(address_of(slow.url, "grpc"), Credentials())
    with ThreadPoolExecutor() as threads:
        call = threads.submit(connection.infer, REQUEST, timeout=LONG)
        assert slow.begun.wait(LONG)
        closed = threads.submit(connection.close)
        slow.let_go.set()
        closed.result(LONG)
        assert call.result(LONG).arrays == {}
