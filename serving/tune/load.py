"""Loads on a running server: clients that wait for their answers, and arrivals at random that the SLO judges.

An open loop ends as soon as its verdict is certain: when more requests are late already than the percentile
lets be late of all that will arrive.
"""

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from regard.serving.bench.arrivals import poisson
from regard.serving.bench.load import Load, Record, Worker
from regard.serving.bench.measure import within
from regard.serving.protocol.codec import Message
from regard.serving.tune.search import Point
from regard.serving.tune.slo import Slo

WARM_UP = 0.25  # of the measured time, before it
FEWEST = 20  # requests that judge a rate, however low it is
LOOK = 0.05  # seconds between looks
LEAD = 0.1  # seconds for the workers to start


@dataclass(frozen=True)
class Answered:
    """What a closed loop did: answers a second, each one's milliseconds, and errors by their words."""

    rate: float
    latencies: Sequence[float]
    errors: Sequence[str]


def closed_loop(workers: Sequence[Worker[Message]], seconds: float) -> Answered:
    """Each worker sends its next request when the last is answered, and on until one was."""
    with Load(workers) as load:
        time.sleep(WARM_UP * seconds)
        start = time.perf_counter()
        while True:
            time.sleep(seconds)
            window = start, time.perf_counter()
            finished = within(load.records(), window, "done")
            if finished:
                break
    good = [record for record in finished if record.error is None]
    return Answered(
        len(good) / (window[1] - window[0]),
        [1e3 * (record.done - record.sent) for record in good],
        [record.error for record in finished if record.error is not None],
    )


def open_loop(
    workers: Sequence[Worker[Message]], rate: float, slo: Slo, *, seconds: float, seed: int
) -> Point:
    """Requests arrive at random, `rate` a second on average, for so many seconds, and longer where these
    would bring fewer than FEWEST.
    """
    seconds = max(seconds, FEWEST / rate)
    warm_up = WARM_UP * seconds
    times = poisson(rate, warm_up + seconds, seed=seed)
    start = time.perf_counter() + LEAD
    judged = (times[times >= warm_up] + start).tolist()
    with Load(workers, (times + start).tolist()) as load:
        while True:
            tally = judge(judged, load.records(), slo, now=time.perf_counter())
            if tally.decided:
                break
            time.sleep(LOOK)
    return Point(
        rate=rate,
        met=tally.met,
        tail=slo.of(tally.latencies),
        requests=len(tally.latencies),
        errors=tally.errors,
        stopped=len(tally.latencies) < len(judged),
    )


@dataclass(frozen=True)
class Tally:
    """How far a verdict is.

    Attributes:
        latencies: milliseconds of the requests that are due: until the answer, or until now.
        errors: of those that failed.
        decided, met: whether the SLO is certainly met or missed, and which.
    """

    latencies: Sequence[float]
    errors: int
    decided: bool
    met: bool


def judge(arrivals: Sequence[float], records: Sequence[Record], slo: Slo, *, now: float) -> Tally:
    """Hold the requests that arrive at these rising times (time.perf_counter) against the SLO; what fails is
    late.

    records: of the requests that were answered, these and others.
    """
    answers = {record.intended: record for record in records}
    latencies = []
    due = bisect_right(arrivals, now)
    errors, late, waiting = 0, 0, len(arrivals) - due
    for arrival in arrivals[:due]:
        record = answers.get(arrival)
        latency = 1e3 * ((now if record is None else record.done) - arrival)
        latencies.append(latency)
        failed = record is not None and record.error is not None
        errors += failed
        if failed or latency > slo.limit:
            late += 1
        elif record is None:
            waiting += 1
    met = late <= slo.may_miss(len(arrivals))
    return Tally(latencies, errors, decided=not met or not waiting, met=met)
