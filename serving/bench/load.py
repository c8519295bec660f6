"""A load: workers that send prepared requests, in a closed loop or at given arrival times, and write down
when.

Closed loop: every worker sends its next request as soon as its last was answered. Open loop: requests have
arrival times, set beforehand; a worker takes the next, waits for its time and sends it. When all workers are
busy the request starts late, but its latency still counts from its arrival, so that a slow server cannot slow
down the clock that judges it (no coordinated omission).

Workers are threads: a blocking call costs no more than an event loop's (docs/bench.md has the figures), and
wakes up on time.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Generic, TypeVar

from regard.serving.protocol.wire import Fault

Body = TypeVar("Body")
PAUSE_AFTER_ERROR = 0.02  # seconds; a refused connection must not become a busy loop
LONGEST = 160  # characters of an error; it is what errors are counted by


@dataclass(frozen=True)
class Record:
    """One request: when it was due, sent and answered (time.perf_counter), the response's bytes, and the
    error if it failed.
    """

    intended: float
    sent: float
    done: float
    received: int
    error: str | None


@dataclass(frozen=True)
class Worker(Generic[Body]):
    """What one worker needs: its own sender, which returns the response's bytes or raises Fault, and its
    prepared requests.

    in_order: begins with the first of them; else workers are out of step with each other.
    """

    send: Callable[[Body], int]
    bodies: Sequence[Body]
    in_order: bool = False


class Load(Generic[Body]):
    """Runs the workers from entering the context to leaving it.

    arrivals: absolute arrival times (time.perf_counter), rising; None for a closed loop.
    """

    def __init__(self, workers: Sequence[Worker[Body]], arrivals: Sequence[float] | None = None) -> None:
        self.open = arrivals is not None
        self.arrivals = tuple(arrivals or ())
        self._workers = workers
        self._pending = iter(self.arrivals)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._logs: list[list[Record]] = [[] for _ in workers]
        self._running: list[Future[None]] = []

    def __enter__(self) -> "Load[Body]":
        self._pool = ThreadPoolExecutor(len(self._workers), thread_name_prefix="regard-bench")
        self._running = [
            self._pool.submit(self._work, index, worker) for index, worker in enumerate(self._workers)
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown()
        for running in self._running if kind is None else ():
            running.result()  # a bug in a worker is not a quiet one

    def records(self) -> list[Record]:
        """Every request finished so far."""
        return [record for log in self._logs for record in log.copy()]

    def drain(self, timeout: float) -> None:
        """Wait until every arrival has been answered, for at most `timeout` seconds. Only an open load has an
        end.
        """
        deadline = time.perf_counter() + timeout
        while not all(running.done() for running in self._running) and time.perf_counter() < deadline:
            time.sleep(0.01)

    def _work(self, index: int, worker: Worker[Body]) -> None:
        log = self._logs[index].append
        start = 0 if worker.in_order else index % len(worker.bodies)
        for body in cycle([*worker.bodies[start:], *worker.bodies[:start]]):
            intended = self._next_arrival() if self.open else time.perf_counter()
            if intended is None or self._stop.is_set():
                return
            if self.open and (ahead := intended - time.perf_counter()) > 0 and self._stop.wait(ahead):
                return
            sent = time.perf_counter() if self.open else intended
            try:
                received, error = worker.send(body), None
            except Fault as fault:
                received, error = 0, " ".join(str(fault).split())[:LONGEST]
            log(Record(intended, sent, time.perf_counter(), received, error))
            if error is not None and self._stop.wait(PAUSE_AFTER_ERROR):
                return

    def _next_arrival(self) -> float | None:
        with self._lock:
            return next(self._pending, None)
