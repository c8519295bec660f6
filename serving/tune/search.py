"""The highest rate of arrivals that meets the SLO, in few measurements.

A closed loop says how many requests a second the server answers when it never waits. Arrivals at random are
answered in time up to some rate below that: it is found by bisection. A rate is missed when it is missed
twice, since the machine may have been busy otherwise for a moment; a miss shows early, and costs little.
"""

from collections.abc import Callable
from dataclasses import dataclass

MOST_RATES = 6
CLOSE = 0.05  # of the rate: nearer than this two measurements do not tell rates apart


@dataclass(frozen=True, kw_only=True)
class Point:
    """What happened to requests that arrived at random, so many a second.

    Attributes:
        tail: the SLO's percentile in milliseconds.
        requests: that were judged; fewer than would have arrived where it was stopped.
        errors: of those that failed, which are late.
        stopped: too many requests were late for the SLO to be met whatever followed, and `tail` is of those
            until then.
    """

    rate: float
    met: bool
    tail: float
    requests: int
    errors: int
    stopped: bool


def highest_rate(capacity: float, measure: Callable[[float, int], Point]) -> list[Point]:
    """The points that were measured, of up to MOST_RATES rates: the highest that met the SLO is the result,
    and there is none where no point did.

    capacity: requests a second that no rate exceeds for long.
    measure: a rate, for the first time (0) or the second (1).
    """
    points: list[Point] = []
    met, missed = 0.0, capacity
    for _ in range(MOST_RATES):
        if missed - met <= CLOSE * missed:
            break
        rate = (met + missed) / 2
        points.append(measure(rate, 0))
        if not points[-1].met:
            points.append(measure(rate, 1))
        if points[-1].met:
            met = rate
        else:
            missed = rate
    return points
