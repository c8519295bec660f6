"""The load generator against servers made of a function."""

import threading
import time
from collections.abc import Callable

import pytest

from regard.serving.bench.load import Load, Worker
from regard.serving.bench.measure import within
from regard.serving.protocol.wire import Fault

DEADLINE = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the load did nothing"
        threading.Event().wait(0.005)


def test_a_closed_loop_sends_every_body_and_never_two_at_once_by_one_worker() -> None:
    seen: list[bytes] = []
    busy = threading.Lock()

    def send(body: bytes) -> int:
        assert busy.acquire(blocking=False), "two requests at once"
        seen.append(body)
        busy.release()
        return len(body)

    with Load([Worker(send, [b"a", b"bb", b"ccc"])]) as load:
        wait_for(lambda: len(load.records()) >= 9)
    assert set(seen) == {b"a", b"bb", b"ccc"}
    assert [record.received for record in load.records()][:3] == [1, 2, 3]
    assert all(record.intended == record.sent <= record.done for record in load.records())


def test_workers_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=DEADLINE)

    def send(body: bytes) -> int:
        both.wait()
        return 0

    with Load([Worker(send, [b""]), Worker(send, [b""])], [time.perf_counter()] * 2) as load:
        load.drain(DEADLINE)
    assert len(load.records()) == 2


def test_an_open_loop_counts_from_the_intended_start_when_the_server_stalls() -> None:
    """Coordinated omission: requests that were due during the stall must show it, though they were sent after
    it.
    """
    stall = 0.3
    first = threading.Event()

    def send(body: bytes) -> int:
        if not first.is_set():
            first.set()
            threading.Event().wait(stall)
        return 0

    start = time.perf_counter()
    arrivals = [start + 0.02 * i for i in range(10)]  # all due while the first request is stalled
    with Load([Worker(send, [b""])], arrivals) as load:
        load.drain(DEADLINE)
    records = load.records()
    assert [record.intended for record in records] == arrivals
    for index, record in enumerate(records[1:], 1):
        assert record.sent - record.intended >= stall - 0.02 * index  # which a naive clock leaves out
        assert record.done >= record.sent


def test_nothing_is_sent_before_its_time() -> None:
    start = time.perf_counter()
    with Load([Worker(lambda body: 0, [b""])], [start + 0.05, start + 0.1]) as load:
        load.drain(DEADLINE)
    assert [record.sent >= record.intended for record in load.records()] == [True, True]


def test_errors_are_recorded_and_the_worker_goes_on() -> None:
    answers = iter([Fault("UNAVAILABLE", "busy")])

    def send(body: bytes) -> int:
        for error in answers:
            raise error
        return 1

    with Load([Worker(send, [b""])]) as load:
        wait_for(lambda: len(load.records()) >= 2)
    first, second = load.records()[:2]
    assert (first.error, second.error) == ("UNAVAILABLE: busy", None)


def test_a_bug_in_a_worker_is_not_swallowed() -> None:
    def send(body: bytes) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Load([Worker(send, [b""])], [0.0]) as load:
        load.drain(DEADLINE)


def test_a_window_is_half_open() -> None:
    with Load([Worker(lambda body: 0, [b""])], [0.0, 0.0]) as load:
        load.drain(DEADLINE)
    done = load.records()[0].done
    assert within(load.records(), (done, done + 1e-9), "done")[0].done == done
    assert load.records()[0] not in within(load.records(), (done - 1, done), "done")
