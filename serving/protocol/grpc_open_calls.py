"""Inferences over gRPC that nobody cancels: who has waited long enough goes, and the call ends by itself.

A cancellation or a deadline that meets Triton 2.51 at the moment of the answer ends the whole server
(docs/decisions/0039-calls-run-to-their-end.md), so neither is sent. gRPC itself cancels a call that is
forgotten, and all of them when their channel closes: each is kept here until it has ended, and the close
waits for it. Since the server computes them all, a model with MOST calls that nobody waits for is sent the
next one when one of them has ended. Streams are read to their end in the background for the same reason.
"""

import asyncio
import queue
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from concurrent import futures
from contextlib import suppress
from typing import Any

import grpc

from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Fault

LIMIT = 3600.0  # seconds beyond the caller's own; with none, a call to a machine that vanished stays for ever
GRACE = 2.0  # seconds that a closing channel waits for its calls
MOST = 4  # calls to one model, on one channel, that nobody waits for


class OpenCalls:
    """Those of a blocking channel. Safe to use from several threads."""

    def __init__(self) -> None:
        self._calls: set[Any] = set()
        self._given_up: defaultdict[str, set[futures.Future[None]]] = defaultdict(set)  # by model

    def reply(
        self, model: str, method: Any, body: bytes, metadata: Any, timeout: float, cancellation: Cancellation
    ) -> bytes:
        """Call a method; raises grpc.RpcError, or Fault where its end is not waited for."""
        deadline, given_up = Deadline.after(timeout), self._given_up[model]
        if len(given_up) >= MOST:
            _wait_for_fewer(given_up, deadline, cancellation)
        ended = threading.Event()
        call = method.future(body, timeout=timeout + LIMIT, metadata=metadata)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(lambda _: ended.set())
        try:
            with cancellation.on(ended.set):
                ended.wait(deadline.remaining())
        finally:
            _give_up(call, given_up)
        if call.done():
            reply: bytes = call.result()
            return reply
        raise _cancelled() if cancellation.cancelled else _late()

    def replies(
        self, model: str, method: Any, body: bytes, metadata: Any, timeout: float
    ) -> Generator[bytes, None, None]:
        """Call a method of many replies, for at most so many seconds; raises likewise."""
        deadline, given_up = Deadline.after(timeout), self._given_up[model]
        if len(given_up) >= MOST:
            _wait_for_fewer(given_up, deadline, Cancellation())
        call = method(iter((body,)), timeout=timeout + LIMIT, metadata=metadata)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        read: queue.SimpleQueue[bytes | grpc.RpcError | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(call, read), name="regard-stream", daemon=True).start()
        try:
            while (reply := _next(read, deadline)) is not None:
                yield reply
        finally:
            _give_up(call, given_up)

    def wait(self) -> None:
        """Until all have ended, but at most GRACE."""
        end = time.monotonic() + GRACE
        for call in self._calls.copy():
            with suppress(grpc.FutureTimeoutError):
                call.exception(timeout=end - time.monotonic())


class AsyncOpenCalls:
    """Those of an awaited channel, which waits for them itself: `close(GRACE)`."""

    def __init__(self) -> None:
        self._calls: set[Any] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self._given_up: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)  # by model

    async def reply(self, model: str, method: Any, body: bytes, metadata: Any, timeout: float) -> bytes:
        """Call a method; raises grpc.RpcError, or Fault where its end is not waited for."""
        deadline, given_up = Deadline.after(timeout), self._given_up[model]
        await _for_fewer(given_up, deadline)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = method(body, timeout=timeout + LIMIT, metadata=metadata)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(lambda _: ended.set_result(None))
        try:
            await asyncio.wait([ended], timeout=deadline.remaining())
        finally:
            if not call.done():
                given_up.add(ended)
                ended.add_done_callback(given_up.discard)
        if not call.done():
            raise _late()
        reply: bytes = await call
        return reply

    async def replies(
        self, model: str, method: Any, body: bytes, metadata: Any, timeout: float
    ) -> AsyncGenerator[bytes, None]:
        """Call a method of many replies, for at most so many seconds; raises likewise."""
        deadline, given_up = Deadline.after(timeout), self._given_up[model]
        await _for_fewer(given_up, deadline)
        call = method(iter((body,)), timeout=timeout + LIMIT, metadata=metadata)
        read: asyncio.Queue[bytes | grpc.RpcError | Fault | None] = asyncio.Queue()
        reader = asyncio.create_task(_read_awaited(call, read))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        try:
            while True:
                try:
                    reply = await asyncio.wait_for(read.get(), max(0.0, deadline.remaining()))
                except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
                    raise _late() from None
                if reply is None:
                    return
                if isinstance(reply, (grpc.RpcError, Fault)):
                    raise reply
                yield reply
        finally:
            if not reader.done():
                ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                given_up.add(ended)
                ended.add_done_callback(given_up.discard)
                reader.add_done_callback(lambda _: ended.set_result(None))

    async def end(self) -> None:
        """Once the channel is closed, until the streams' readers have noticed."""
        await asyncio.gather(*self._readers, return_exceptions=True)


def _give_up(call: Any, given_up: "set[futures.Future[None]]") -> None:
    """Count a call that has not ended among those that nobody waits for."""
    if call.done():
        return
    end: futures.Future[None] = futures.Future()
    given_up.add(end)
    end.add_done_callback(given_up.discard)
    call.add_done_callback(lambda _: end.set_result(None))


def _read(call: Any, read: "queue.SimpleQueue[bytes | grpc.RpcError | None]") -> None:
    """Read all replies, whether or not anyone still wants them; None ends them, or the error."""
    try:
        for reply in call:
            read.put(reply)
    except grpc.RpcError as error:
        read.put(error)
    else:
        read.put(None)


async def _read_awaited(call: Any, read: "asyncio.Queue[bytes | grpc.RpcError | Fault | None]") -> None:
    """The same, awaited."""
    try:
        async for reply in call:
            read.put_nowait(reply)
    except grpc.RpcError as error:
        read.put_nowait(error)
    except asyncio.CancelledError:  # the channel was closed
        read.put_nowait(_cancelled())
        raise
    else:
        read.put_nowait(None)


def _next(read: "queue.SimpleQueue[bytes | grpc.RpcError | None]", deadline: Deadline) -> bytes | None:
    try:
        reply = read.get(timeout=max(0.0, deadline.remaining()))
    except queue.Empty:
        raise _late() from None
    if isinstance(reply, grpc.RpcError):
        raise reply
    return reply


async def _for_fewer(given_up: "set[asyncio.Future[None]]", deadline: Deadline) -> None:
    while len(given_up) >= MOST:
        if deadline.remaining() <= 0:
            raise _late()
        await asyncio.wait(given_up, timeout=deadline.remaining(), return_when=asyncio.FIRST_COMPLETED)


def _wait_for_fewer(
    given_up: set[futures.Future[None]], deadline: Deadline, cancellation: Cancellation
) -> None:
    stop: futures.Future[None] = futures.Future()
    with cancellation.on(lambda: stop.set_result(None)):
        while len(given_up) >= MOST:
            if stop.done():
                raise _cancelled()
            if deadline.remaining() <= 0:
                raise _late()
            futures.wait([*given_up.copy(), stop], deadline.remaining(), futures.FIRST_COMPLETED)


def _late() -> Fault:
    return Fault("DEADLINE_EXCEEDED", "the server did not answer in time")


def _cancelled() -> Fault:
    return Fault("CANCELLED", "the call was cancelled")
