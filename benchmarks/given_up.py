"""Inferences over gRPC that are given up at about the moment of their answer: whether the server survives.

Triton 2.51 does not survive a cancellation or a deadline that meets it in that moment, so regard's clients
send neither (docs/decisions/0039-calls-run-to-their-end.md). The last row is bare gRPC with deadlines, which
shows what the others avoid. A patient call follows each that was given up, so that no queue keeps the answers
away from the moment.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median

import grpc
import numpy as np
from harness import Figure, console, mean_colour, run, served

from regard import AsyncClient, Client
from regard.errors import InferenceError
from regard.serving.protocol.address import address_of
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault, Request
from regard.serving.triton.server import EmbeddedTriton

CALLERS = 8
ROUNDS = 50  # of one client: it closes with a call given up, and the next one begins
PATIENCE = 60.0  # seconds for an answer that is waited for
MODEL, SIZE = "mean_colour", 112  # large enough for shared memory
INPUTS = {"image": np.zeros((1, SIZE, SIZE, 3), np.uint8)}


@dataclass
class Hammer:
    """The callers of one server, until so many calls were given up or it is dead."""

    server: EmbeddedTriton
    wanted: int
    given_up: int = 0
    answered: int = 0
    errors: set[str] = field(default_factory=set)
    usual: float = 0.0  # seconds that an answer takes
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def on(self) -> bool:
        return self.given_up < self.wanted and self.server.alive

    def patience(self) -> float:
        """Seconds until a call is given up: about as many as its answer takes."""
        return random.uniform(0.2, 1.8) * self.usual  # noqa: S311

    def count(self, given_up: bool) -> None:
        with self._lock:
            self.given_up += given_up
            self.answered += not given_up

    def caller(self, way: Callable[["Hammer"], None]) -> None:
        while self.on:
            try:
                way(self)
            except (InferenceError, Fault) as error:
                self.errors.add(str(error))
                time.sleep(0.01)


def timeouts(hammer: Hammer, shared_memory: bool) -> None:
    with Client(hammer.server.grpc_url, shared_memory=shared_memory, timeout=PATIENCE) as client:
        for _ in range(ROUNDS):
            client.infer(MODEL, INPUTS)
            try:
                client.infer(MODEL, INPUTS, timeout=hammer.patience())
            except InferenceError as error:
                if error.code != "DEADLINE_EXCEEDED":
                    raise
                hammer.count(given_up=True)
            else:
                hammer.count(given_up=False)


def cancellations(hammer: Hammer) -> None:
    connection = connect(address_of(hammer.server.grpc_url, "grpc"), Credentials())
    request = Request(MODEL, "", INPUTS)
    try:
        for _ in range(ROUNDS):
            connection.infer(request, timeout=PATIENCE)
            cancellation = Cancellation()
            timer = threading.Timer(hammer.patience(), cancellation.cancel)
            timer.start()
            try:
                connection.infer(request, timeout=PATIENCE, cancellation=cancellation)
            except Fault as fault:
                if fault.code != "CANCELLED":
                    raise
                hammer.count(given_up=True)
            else:
                hammer.count(given_up=False)
            timer.join()
    finally:
        connection.close()


def cancelled_tasks(hammer: Hammer) -> None:
    async def rounds() -> None:
        async with AsyncClient(hammer.server.grpc_url, timeout=PATIENCE) as client:
            for _ in range(ROUNDS):
                await client.infer(MODEL, INPUTS)
                task = asyncio.create_task(client.infer(MODEL, INPUTS))
                await asyncio.wait([task], timeout=hammer.patience())
                hammer.count(given_up=task.cancel())
                await asyncio.wait([task])

    asyncio.run(rounds())


def bare_deadlines(hammer: Hammer) -> None:
    connection = connect(address_of(hammer.server.grpc_url, "grpc"), Credentials())
    message = connection.prepare(Request(MODEL, "", INPUTS))
    connection.close()
    with grpc.insecure_channel(hammer.server.grpc_url) as channel:
        method = channel.unary_unary(message.path)
        for _ in range(ROUNDS):
            try:
                method(message.body, timeout=PATIENCE)
                method(message.body, timeout=hammer.patience())
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise Fault(error.code().name, error.details()) from None
                hammer.count(given_up=True)
            else:
                hammer.count(given_up=False)


WAYS: dict[str, Callable[[Hammer], None]] = {
    "Client, timeouts": lambda hammer: timeouts(hammer, shared_memory=False),
    "Client, timeouts, shared memory": lambda hammer: timeouts(hammer, shared_memory=True),
    "a connection, cancelled": cancellations,
    "AsyncClient, cancelled tasks": cancelled_tasks,
}


def measure(quick: bool) -> Sequence[Figure]:
    wanted = 500 if quick else 10_000
    with served(mean_colour(SIZE)) as at:
        figures = [_deaths(name, way, at.server, wanted) for name, way in WAYS.items()]
        bare = "gRPC with deadlines, without regard"
        # it is left to chance when it dies: give it time
        return [*figures, _deaths(bare, bare_deadlines, at.server, 5 * wanted, target=None)]


def _deaths(
    name: str,
    way: Callable[[Hammer], None],
    server: EmbeddedTriton,
    wanted: int,
    target: float | None = 0,
) -> Figure:
    console.print(name)
    if not server.alive:
        server.stop()
        server.start()
    hammer = Hammer(server, wanted)
    with ThreadPoolExecutor(CALLERS) as threads:
        hammer.usual = median(threads.map(lambda _: _usual(server), range(CALLERS)))
        for _ in range(CALLERS):
            threads.submit(hammer.caller, way)
    return Figure(
        f"server deaths: {name}",
        float(not server.alive),
        "",
        hammer.given_up,
        "calls given up",
        target,
        details={
            "answered": hammer.answered,
            "errors": sorted(hammer.errors),
            "usual_ms": round(1000 * hammer.usual, 2),
            "ending": server.ending,
        },
    )


def _usual(server: EmbeddedTriton) -> float:
    with Client(server.grpc_url, shared_memory=False) as client:
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            client.infer(MODEL, INPUTS)
            seconds.append(time.perf_counter() - start)
    return median(seconds)


if __name__ == "__main__":
    run("given_up", "inferences over gRPC that are given up at the moment of their answer", measure)
