"""Loads against servers made of a function, and the verdict on what they did."""

import threading

import pytest

from regard.serving.bench.load import Record, Worker
from regard.serving.protocol.wire import Fault
from regard.serving.tune.load import Tally, closed_loop, judge, open_loop
from regard.serving.tune.slo import Slo

SLO = Slo(90, 100)  # of ten requests one may be late


def answered(intended: float, seconds: float, error: str | None = None) -> Record:
    return Record(intended, intended, intended + seconds, 1, error)


def verdict(records: list[Record], now: float, count: int = 10) -> Tally:
    return judge([float(number) for number in range(count)], records, SLO, now=now)


def test_all_in_time_is_met_when_the_last_was_answered() -> None:
    records = [answered(number, 0.05) for number in range(10)]
    assert not verdict(records[:9], 8.5).decided  # one is to come
    assert not verdict(records[:9], 9.05).decided  # and may be answered in time
    found = verdict(records, 9.06)
    assert (found.decided, found.met, found.errors) == (True, True, 0)
    assert found.latencies == pytest.approx([50] * 10)


def test_one_late_request_is_allowed_and_two_are_not() -> None:
    records = [answered(number, 0.05) for number in range(10)]
    records[3] = answered(3.0, 0.2)
    assert verdict(records, 10).met
    records[4] = answered(4.0, 0.2)
    found = verdict(records[:5], 4.5)
    assert (found.decided, found.met) == (True, False)
    assert len(found.latencies) == 5


def test_what_was_not_answered_is_late_when_its_time_is_over() -> None:
    """A queue that grows is seen before its requests are answered."""
    records = [answered(float(number), 0.01) for number in range(3)]
    assert not verdict(records, 4.05).decided  # one is late, and one may be
    found = verdict(records, 4.2)
    assert (found.decided, found.met) == (True, False)
    assert found.latencies[3:] == pytest.approx([1200, 200])


def test_it_is_decided_though_one_is_never_answered() -> None:
    found = verdict([answered(float(number), 0.01) for number in range(9)], 9.2)
    assert (found.decided, found.met) == (True, True)


def test_what_fails_is_late_however_fast() -> None:
    records = [answered(number, 0.05, "planted" if number in (1, 2) else None) for number in range(10)]
    found = verdict(records, 10)
    assert (found.met, found.errors) == (False, 2)


def worker(seconds: float, count: int = 4, error: bool = False) -> list[Worker[bytes]]:
    pause = threading.Event()

    def send(body: bytes) -> int:
        pause.wait(seconds)
        if error:
            raise Fault("INTERNAL", "planted")
        return 1

    return [Worker(send, [b""]) for _ in range(count)]


def test_a_rate_that_is_met() -> None:
    """Of the requests before the measured time none counts."""
    found = open_loop(worker(0), 200, Slo(50, 60_000), seconds=0.2, seed=0)  # type: ignore[arg-type]
    assert (found.rate, found.met, found.stopped, found.errors) == (200, True, False, 0)
    assert 10 < found.requests < 80
    assert 0 < found.tail <= 60_000


def test_a_rate_that_is_lost_ends_early() -> None:
    found = open_loop(worker(0.01, 1), 100, Slo(99.9, 0.001), seconds=2, seed=0)  # type: ignore[arg-type]
    assert (found.met, found.stopped) == (False, True)


def test_a_low_rate_is_judged_by_some_requests() -> None:
    found = open_loop(worker(0), 500, Slo(50, 60_000), seconds=1e-6, seed=0)  # type: ignore[arg-type]
    assert found.requests > 5


def test_clients_that_wait() -> None:
    found = closed_loop(worker(0.001), 0.05)  # type: ignore[arg-type]
    assert found.rate > 0
    assert min(found.latencies) > 0
    assert not found.errors
    failing = closed_loop(worker(0.2, error=True), 0.01)  # type: ignore[arg-type]
    assert failing.errors[0] == "INTERNAL: planted"
    assert failing.rate == 0
