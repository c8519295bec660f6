"""Measuring one setup: a server of its own, its latency and capacity, and the highest rate within the SLO."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from regard.errors import ServerError
from regard.serving.bench.load import Worker
from regard.serving.bench.measure import OPEN_WORKERS
from regard.serving.bench.statistics import digits, percentile
from regard.serving.bench.target import find_target, probe, workers
from regard.serving.protocol.codec import Message
from regard.serving.repository.add import Endpoints
from regard.serving.repository.config import PREFERRED_BATCH
from regard.serving.triton.memory import server_memory
from regard.serving.tune.accuracy import Accuracy
from regard.serving.tune.candidates import Candidate
from regard.serving.tune.load import Answered, closed_loop, open_loop
from regard.serving.tune.search import MOST_RATES, Point, highest_rate
from regard.serving.tune.server import serving
from regard.serving.tune.setup import Setup
from regard.serving.tune.slo import Slo
from regard.serving.tune.trial import Trial, dominates

Report = Callable[[str], None]

STEPS = 3 + MOST_RATES  # that `try_out` reports, and some more where a rate is missed
CONFIRMING = 4  # times as long as a point of the search, with other arrivals
LOWER = (1.0, 0.9, 0.75, 0.5)  # of the rate that was found, until one holds


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What is the same for all setups.

    images: encoded; None stands for those that come with regard and fit the Card.
    endpoints: that the model is served by, see `regard.serving.repository.add`. Image files are sent, unless
        there is only the one for tensors.
    seconds: of one measurement.
    """

    slo: Slo
    images: Sequence[bytes] | None
    endpoints: Endpoints | None
    seconds: float


def try_out(
    candidate: Candidate,
    setup: Setup,
    conditions: Conditions,
    accuracy: Accuracy,
    rivals: Sequence[Trial],
    report: Report,
) -> Trial:
    """Measure one setup; the search is left out where a rival is better whatever it finds.

    report: is told each step as it begins.

    Raises:
        RegardError: the server does not start, or its answers are errors.
    """
    report("starting the server")
    with _served(candidate, setup, conditions) as (senders, pid):
        report("1 client")
        alone = _closed(senders[:1], conditions)
        clients = 2 * setup.instances * (PREFERRED_BATCH if setup.batching else 1)  # one works, one waits
        report(f"{clients} clients")
        full = _closed(senders[: min(clients, len(senders))], conditions)
        trial = Trial(
            setup=setup,
            backend=candidate.artifact.runtime,
            accuracy=accuracy.values[candidate.name],
            good=candidate.name in accuracy.good,
            p50=percentile(alone.latencies, 50),
            p99=percentile(alone.latencies, 99),
            tail=conditions.slo.of(alone.latencies),
            capacity=full.rate,
            memory=server_memory(pid),
        )
        if any(dominates(rival, trial, rate=trial.capacity) for rival in rivals):
            return replace(trial, searched=False)

        def measure(rate: float, turn: int) -> Point:
            return _open(senders, rate, conditions, report, seed=turn)

        return replace(trial, points=tuple(highest_rate(trial.capacity, measure)))


def confirm(candidate: Candidate, trial: Trial, conditions: Conditions, report: Report) -> Trial:
    """Measure a trial's highest rate once more, for longer, and lower ones until one holds: the best of many
    short measurements was lucky as well.

    Raises:
        RegardError: as of `try_out`.
    """
    longer = replace(conditions, seconds=CONFIRMING * conditions.seconds)
    checks: list[Point] = []
    report("starting the server")
    with _served(candidate, trial.setup, conditions) as (senders, _):
        for part in LOWER:
            checks.append(_open(senders, part * trial.rate, longer, report, seed=2))
            if checks[-1].met:
                break
    return replace(trial, checks=tuple(checks))


@contextmanager
def _served(
    candidate: Candidate, setup: Setup, conditions: Conditions
) -> Iterator[tuple[Sequence[Worker[Message]], int]]:
    """Senders to a server of this setup, which has answered each image once, and its process."""
    artifact = candidate.artifact
    with serving(artifact, setup, conditions.endpoints) as server:
        target = find_target(
            server.connection,
            artifact.card.name,
            endpoint="tensor" if conditions.endpoints == "tensor" else "image",
            batch=1,
            images=conditions.images,
            shared_memory=False,
        )
        with workers(target, OPEN_WORKERS) as senders:
            probe(senders[0], artifact.card.name)
            yield senders, server.pid


def _closed(senders: Sequence[Worker[Message]], conditions: Conditions) -> Answered:
    answered = closed_loop(senders, conditions.seconds)
    if answered.errors:
        raise ServerError(f"{len(answered.errors)} requests failed, the first with: {answered.errors[0]}")
    return answered


def _open(
    senders: Sequence[Worker[Message]], rate: float, conditions: Conditions, report: Report, *, seed: int
) -> Point:
    report(f"{digits(rate)} arrivals a second")
    return open_loop(senders, rate, conditions.slo, seconds=conditions.seconds, seed=seed)
