"""The same images through several runners in turn, so that a slow minute of the machine falls on all of them.

Every round runs each runner for one window, after a moment that is discarded; a runner's figure is the median
of its rounds, and a ratio is the median of the rounds' own ratios.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from regard.serving.bench.load import Load, Worker
from regard.serving.bench.measure import within
from regard.serving.bench.statistics import Estimate, half_width, percentile, percentile_of

SETTLE = 0.5  # of a window, discarded at each change of runner


@dataclass(frozen=True)
class Runner:
    """One way to get answers: its name, its workers, and the images in one request."""

    name: str
    workers: Sequence[Worker[Any]]
    batch: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One runner's figures: throughput in images a second, latency in milliseconds, and the ratio to the
    reference runner's throughput.
    """

    name: str
    workers: int
    batch: int
    throughput: Estimate
    ratio: Estimate
    p50: Estimate
    p99: Estimate
    rounds_p50: tuple[float, ...]  # of each round, in the rounds' order
    # processors that this process kept busy: nearly all of them, or an in-process runner was held back
    client_cpu: float
    errors: int


class _Rounds:
    """One runner's figures, round by round."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.rates: list[float] = []  # images a second
        self.latencies: list[list[float]] = []  # milliseconds of each request
        self.busy: list[float] = []  # processors
        self.errors = 0

    def measure(self, duration: float) -> None:
        """Add a round: a window of so many seconds."""
        with Load(self.runner.workers) as load:
            time.sleep(SETTLE * duration)
            start, cpu = time.perf_counter(), time.process_time()
            time.sleep(duration)
            window, cpu = (start, time.perf_counter()), time.process_time() - cpu
        length = window[1] - window[0]
        records = load.records()
        good = [record for record in within(records, window, "done") if record.error is None]
        self.rates.append(self.runner.batch * len(good) / length)
        self.latencies.append([1e3 * (record.done - record.sent) for record in good])
        self.busy.append(cpu / length)
        self.errors += sum(record.error is not None for record in records)

    def compared(self, reference: "_Rounds") -> Compared:
        """The figures of all rounds; a ratio is taken within each."""
        ratios = [
            mine / base if base else math.nan for mine, base in zip(self.rates, reference.rates, strict=True)
        ]
        return Compared(
            name=self.runner.name,
            workers=len(self.runner.workers),
            batch=self.runner.batch,
            throughput=_median(self.rates),
            ratio=_median(ratios),
            p50=percentile_of(self.latencies, 50),
            p99=percentile_of(self.latencies, 99),
            rounds_p50=tuple(percentile(latencies, 50) for latencies in self.latencies),
            client_cpu=median(self.busy),
            errors=self.errors,
        )


def compare(
    runners: Sequence[Runner],
    *,
    reference: str,
    duration: float,
    rounds: int,
    report: Callable[[str], None] = lambda line: None,
) -> list[Compared]:
    """Run every runner in every round, in an order that turns by one each round.

    duration: seconds of one window.
    reference: the runner whose throughput the ratios divide by.
    """
    seen = {runner.name: _Rounds(runner) for runner in runners}
    for turn in range(rounds):
        for runner in [*runners[turn % len(runners) :], *runners[: turn % len(runners)]]:
            report(f"round {turn + 1}/{rounds}: {runner.name}")
            seen[runner.name].measure(duration)
    return [each.compared(seen[reference]) for each in seen.values()]


def in_process(
    name: str, step: Callable[[Any], Any], bodies: Sequence[Any], workers: int, *, batch: int
) -> Runner:
    """A runner in this process: `step` turns each of the bodies, which hold `batch` images, into an array."""

    def send(body: Any) -> int:
        return int(step(body).nbytes)

    return Runner(name, [Worker(send, bodies) for _ in range(workers)], batch)


def _median(values: Sequence[float]) -> Estimate:
    return Estimate(median(values), half_width(values), len(values))
