"""The same images through several runners in turn, so that a slow minute of the machine falls on all of them.

Every round runs each runner for one window, after a moment that is discarded; a runner's figure is the median
of its rounds, and a ratio is the median of the rounds' own ratios.
"""

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


@dataclass(frozen=True)
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
    rates: dict[str, list[float]] = {runner.name: [] for runner in runners}
    latencies: dict[str, list[list[float]]] = {runner.name: [] for runner in runners}
    busy: dict[str, list[float]] = {runner.name: [] for runner in runners}
    errors = dict.fromkeys(rates, 0)
    for turn in range(rounds):
        for runner in [*runners[turn % len(runners) :], *runners[: turn % len(runners)]]:
            report(f"round {turn + 1}/{rounds}: {runner.name}")
            with Load(runner.workers) as load:
                time.sleep(SETTLE * duration)
                start, cpu = time.perf_counter(), time.process_time()
                time.sleep(duration)
                window, cpu = (start, time.perf_counter()), time.process_time() - cpu
            busy[runner.name].append(cpu / (window[1] - window[0]))
            records = load.records()
            good = [record for record in within(records, window, "done") if record.error is None]
            errors[runner.name] += sum(record.error is not None for record in records)
            rates[runner.name].append(runner.batch * len(good) / (window[1] - window[0]))
            latencies[runner.name].append([1e3 * (record.done - record.sent) for record in good])
    return [
        Compared(
            runner.name,
            len(runner.workers),
            runner.batch,
            _median(rates[runner.name]),
            _median(
                [
                    mine / base if base else float("nan")
                    for mine, base in zip(rates[runner.name], rates[reference], strict=True)
                ]
            ),
            percentile_of(latencies[runner.name], 50),
            percentile_of(latencies[runner.name], 99),
            tuple(percentile(round_, 50) for round_ in latencies[runner.name]),
            median(busy[runner.name]),
            errors[runner.name],
        )
        for runner in runners
    ]


def in_process(
    name: str, step: Callable[[Any], Any], bodies: Sequence[Any], workers: int, *, batch: int
) -> Runner:
    """A runner in this process: `step` turns each of the bodies, which hold `batch` images, into an array."""

    def send(body: Any) -> int:
        return int(step(body).nbytes)

    return Runner(name, [Worker(send, bodies) for _ in range(workers)], batch)


def _median(values: Sequence[float]) -> Estimate:
    return Estimate(median(values), half_width(values), len(values))
