"""What was found of one setup, and which setups leave others nothing to be chosen for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.serving.tune.search import Point
from regard.serving.tune.setup import Setup

STEP = 0.05  # in which figures of a server are compared, since chance moves them


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setup, measured.

    Attributes:
        backend: Triton's, that computes.
        accuracy: of the variant, 0 to 1, see `regard.serving.tune.accuracy`.
        good: whether that is good enough.
        p50, p99, tail: milliseconds of one client's requests, one after the other; `tail` is the SLO's
            percentile.
        capacity: images a second under a closed loop, which is more than arrivals at random reach.
        memory: bytes of the server with all its processes (PSS).
        points: of the search, in its order.
        searched: False where another setup was better whatever a search would have found.
        checks: the highest rate measured once more, for longer, and lower ones until one held.
    """

    setup: Setup
    backend: str
    accuracy: float
    good: bool
    p50: float
    p99: float
    tail: float
    capacity: float
    memory: int
    points: tuple[Point, ...] = ()
    searched: bool = True
    checks: tuple[Point, ...] = ()

    @property
    def best(self) -> Point | None:
        """The highest rate that met the SLO: where there are checks, in them."""
        met = [point for point in self.checks or self.points if point.met]
        return max(met, key=lambda point: point.rate, default=None)

    @property
    def confirmed(self) -> bool:
        """Whether it was checked."""
        return bool(self.checks)

    @property
    def rate(self) -> float:
        """Arrivals a second within the SLO; 0 where there is no such rate."""
        return self.best.rate if self.best else 0.0

    def facts(self) -> dict[str, Any]:
        """All of it, in JSON's types."""
        return {
            **vars(self),
            "setup": vars(self.setup),
            "points": [*map(vars, self.points)],
            "checks": [*map(vars, self.checks)],
            "rate": self.rate,
        }


def dominates(one: Trial, other: Trial, *, rate: float | None = None) -> bool:
    """Whether `one` is as good in accuracy, latency, throughput and memory, and better in one of them.

    rate: the other's, where it is not known and at most this.
    """
    mine, theirs = _merits(one, one.rate), _merits(other, other.rate if rate is None else rate)
    return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The searched trials that no other dominates: Pareto's."""
    searched = [trial for trial in trials if trial.searched]
    return [trial for trial in searched if not any(dominates(other, trial) for other in searched)]


def choice(trials: Sequence[Trial]) -> Trial | None:
    """Which one to take: of those that are accurate enough the one with the highest rate, or one that is
    within STEP of it and takes less memory; None where no rate meets the SLO.
    """
    able = [trial for trial in trials if trial.good and trial.rate]
    highest = max((trial.rate for trial in able), default=0.0)
    equal = [trial for trial in able if trial.rate * (1 + STEP) >= highest]
    return min(equal, key=lambda trial: (trial.memory, -trial.rate), default=None)


def nearest(trials: Sequence[Trial]) -> Trial:
    """Of one or more trials, of which none meets the SLO, the accurate enough one that misses it by least:
    by its latency where there is nothing else to do.
    """
    return min([trial for trial in trials if trial.good] or trials, key=lambda trial: trial.tail)


def _merits(trial: Trial, rate: float) -> tuple[float, ...]:
    """More is better; steps, unlike a tolerance, leave the order transitive."""
    return trial.accuracy, -_step(trial.p50), _step(rate), -_step(trial.memory)


def _step(value: float) -> float:
    return math.floor(math.log(value) / math.log1p(STEP)) if value > 0 else -math.inf
