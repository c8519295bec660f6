"""Measuring one load after another: warm up until steady, then a fixed number of windows, whatever they show.

Closed loop: warm-up windows go on until the throughput and the median latency of three successive ones each
lie within the tolerance of their mean (perf_analyzer's rule), or until MOST_WARM_UP of them. Then `repeats`
new windows are measured: the windows that happened to agree are not the ones reported. Open loop: the first
three windows are warm-up, since random arrivals are not to be mistaken for an unsteady server; a load that
leaves more of its arrivals unanswered than the tolerance is marked as not sustained.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from regard.errors import InvalidInput
from regard.serving.bench.arrivals import poisson
from regard.serving.bench.load import Load, Record
from regard.serving.bench.statistics import Estimate, mean_of, percentile, percentile_of, steady
from regard.serving.bench.target import Target, probe, session_workers, workers
from regard.serving.bench.triton_times import ServerTime, between
from regard.serving.protocol.codec import Message

Kind = Literal["closed", "open", "sessions"]
WARM_UP = 3  # windows that must agree
MOST_WARM_UP = 12
OPEN_WORKERS = 64  # most requests of an open loop in flight
DRAIN = 10.0  # seconds to wait for the last answers of an open loop
SATURATED = 0.8  # processors kept busy by this process: Python runs on one


@dataclass(frozen=True)
class Settings:
    """How long and how often.

    duration: seconds of one window.
    repeats: measured windows of one load.
    tolerance: of the steady state, as a fraction.
    """

    duration: float = 2.0
    repeats: int = 5
    tolerance: float = 0.10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.duration <= 0 or self.repeats < 1 or self.tolerance <= 0:
            raise InvalidInput(
                f"duration and tolerance must be positive and repeats at least 1, got {self.duration}, "
                f"{self.tolerance} and {self.repeats}."
            )


@dataclass(frozen=True, kw_only=True)
class Level:
    """What one load did. Throughput in images a second, latencies in milliseconds.

    load: clients of a closed loop; arrivals (requests) a second of an open one; sessions at once, each a
        client of its own whose frames are its requests.
    """

    kind: Kind
    load: float
    throughput: Estimate
    p50: Estimate
    p90: Estimate
    p99: Estimate
    requests: int
    errors: dict[str, int]  # by message, of the whole run with its warm-up
    unanswered: int  # arrivals of an open loop without an answer when the run ended
    late: float  # 99th percentile of how late an open loop's requests were sent
    warm_up_windows: int
    steady: bool  # of an open loop: sustained
    client_cpu: float  # processors that this process kept busy
    mean_latency: float  # from sending to the answer
    server: ServerTime | None
    request_bytes: int
    response_bytes: int

    @property
    def name(self) -> str:
        """The load in words."""
        return load_name(self.kind, self.load)

    @property
    def client_saturated(self) -> bool:
        """Whether the figures may be the load generator's limit instead of the server's."""
        return self.client_cpu >= SATURATED

    @property
    def rest(self) -> float:
        """The milliseconds of a request outside the server: the wire and the client; NaN without Triton's
        figures.
        """
        return self.mean_latency - self.server.total if self.server else math.nan


def load_name(kind: Kind, load: float) -> str:
    """A load in words; see `Level`."""
    if kind == "open":
        return f"{load:g} arrivals/s"
    each = {"closed": "client", "sessions": "session"}[kind]
    return f"1 {each}" if load == 1 else f"{load:g} {each}s"


def closed_loop(target: Target, clients: int, settings: Settings) -> Level:
    """Measure `clients` workers that each send their next request when the last is answered."""
    with workers(target, clients) as prepared:
        sizes = probe(prepared[0], target.model)
        with Load(prepared) as load:
            start = time.perf_counter()
            return _watch(target, load, settings, size=float(clients), start=start, sizes=sizes)


def in_sessions(target: Target, sessions: int, settings: Settings) -> Level:
    """Measure `sessions` sessions at once, each of which sends its next frame when the last is answered."""
    with session_workers(target, sessions) as prepared:
        sizes = probe(prepared[0], target.model)
        with Load(prepared) as load:
            start = time.perf_counter()
            level = _watch(target, load, settings, size=float(sessions), start=start, sizes=sizes)
            return replace(level, kind="sessions")


def open_loop(target: Target, rate: float, settings: Settings) -> Level:
    """Measure requests that arrive at random, `rate` a second on average, whatever the server does."""
    length = (WARM_UP + settings.repeats) * settings.duration
    times = poisson(rate, length, seed=settings.seed)
    with workers(target, OPEN_WORKERS) as prepared:
        sizes = probe(prepared[0], target.model)
        start = time.perf_counter() + 0.1
        with Load(prepared, (times + start).tolist()) as load:
            return _watch(target, load, settings, size=rate, start=start, sizes=sizes)


def _watch(
    target: Target,
    load: Load[Message],
    settings: Settings,
    *,
    size: float,
    start: float,
    sizes: tuple[int, int],
) -> Level:
    """Measure a load that began at `start` (time.perf_counter).

    size: clients, or arrivals a second.
    sizes: mean bytes of a request and of a response.
    """
    warm_up, is_steady = _warm_up(load, start, settings)
    first = start + warm_up * settings.duration
    before, cpu, clock = target.snapshot(), time.process_time(), time.perf_counter()
    windows = [
        (first + i * settings.duration, first + (i + 1) * settings.duration) for i in range(settings.repeats)
    ]
    _sleep_until(windows[-1][1])
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    after = target.snapshot()
    if load.open:
        load.drain(DRAIN)
    records = load.records()
    finished = [within(records, window, "done") for window in windows]
    counted = [within(records, window, "intended") for window in windows] if load.open else finished
    everything = [record for window in counted for record in window]
    answered = [[record for record in window if record.error is None] for window in counted]
    good = [record for window in answered for record in window]
    latencies = [[1e3 * (record.done - record.intended) for record in window] for window in answered]
    unanswered = 0
    if load.open:
        arrived = [t for t in load.arrivals if windows[0][0] <= t < windows[-1][1]]
        unanswered = len(arrived) - len(everything)
        is_steady = sum(record.done < windows[-1][1] for record in good) >= (1 - settings.tolerance) * len(
            arrived
        )
    return Level(
        kind="open" if load.open else "closed",
        load=size,
        throughput=mean_of(
            [target.batch * sum(r.error is None for r in window) / settings.duration for window in finished]
        ),
        p50=percentile_of(latencies, 50),
        p90=percentile_of(latencies, 90),
        p99=percentile_of(latencies, 99),
        requests=len(everything),
        errors=dict(Counter(record.error for record in records if record.error is not None)),
        unanswered=unanswered,
        late=percentile([1e3 * (record.sent - record.intended) for record in everything], 99)
        if load.open
        else 0.0,
        warm_up_windows=warm_up,
        steady=is_steady,
        client_cpu=cpu / clock,
        mean_latency=fmean([1e3 * (record.done - record.sent) for record in good]) if good else math.nan,
        server=between(before, after, target.name),
        request_bytes=sizes[0],
        response_bytes=sizes[1],
    )


def _warm_up(load: Load[Message], start: float, settings: Settings) -> tuple[int, bool]:
    """Let windows pass until the load is steady; returns how many, and whether it was."""
    figures: list[tuple[float, float]] = []
    while len(figures) < MOST_WARM_UP:
        begin = start + len(figures) * settings.duration
        _sleep_until(begin + settings.duration)
        window = [
            r for r in within(load.records(), (begin, begin + settings.duration), "done") if r.error is None
        ]
        figures.append(
            (len(window) / settings.duration, percentile([r.done - r.intended for r in window], 50))
        )
        if load.open and len(figures) == WARM_UP:
            return WARM_UP, True
        if not load.open and steady(figures, settings.tolerance, WARM_UP):
            return len(figures), True
    return len(figures), False


def within(
    records: Sequence[Record], window: tuple[float, float], moment: Literal["intended", "done"]
) -> list[Record]:
    """The records whose `moment` lies in the half-open window."""
    return [record for record in records if window[0] <= getattr(record, moment) < window[1]]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))


def processors() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0))
