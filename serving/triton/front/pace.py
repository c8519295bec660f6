"""Whether a request would be answered in time, from how fast its model has answered of late.

Triton's own queues have no limit (docs/decisions/0029): where more is asked than can be answered, all wait
longer and longer, until those at the front have no time left and nobody is answered in his. So a request that
would have to wait longer than it may is refused at once, and those before it keep their time.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regard.serving.triton.front.fields import Refused

WAITING = 256  # requests for each instance of a model, however long they may take
WEIGHT = 0.2  # of the newest interval in the average


class Pace:
    """Of one model's answers.

    Args:
        instances: how many requests the model works on at a time.
        clock: in seconds.
    """

    def __init__(self, instances: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.instances = instances
        self.in_flight = 0
        self._clock = clock
        self._interval = 0.0  # seconds between two answers while the model is busy, on average
        self._since = 0.0  # the last answer, or what began a time of work

    @contextmanager
    def turn(self, allowed: float) -> Iterator[Callable[[], None]]:
        """One request, from when it is sent to when it is answered; what it yields is called when that was
        with success.

        allowed: seconds that it may take.

        Raises:
            Refused: so many wait already that it would take longer.
        """
        if self.in_flight >= self.instances:
            expected = self._interval * (self.in_flight + 1)
            if self.in_flight >= self.instances * (1 + WAITING) or expected > allowed:
                raise Refused(
                    503,
                    f"{self.in_flight} requests are before this one, which would take about {expected:.2g} s "
                    f"and may take {allowed:.2g} s; try again later",
                )
        if not self.in_flight:
            self._since = self._clock()
        self.in_flight += 1
        try:
            yield self._answered
        finally:
            self.in_flight -= 1

    def _answered(self) -> None:
        now = self._clock()
        interval, self._since = now - self._since, now
        weight = WEIGHT if self._interval else 1.0
        self._interval += weight * (interval - self._interval)
