"""When to try again: after faults that pass, and ever more slowly.

Inference changes nothing on the server, so a request may be sent twice. One that was refused for what it says
(INVALID_ARGUMENT) or for who sends it would be refused again.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from regard.errors import InvalidInput
from regard.serving.protocol.wire import Fault

# INTERNAL, from a model whose process was killed; the server is then started again
DEAD_STUB = re.compile(r"stub process .*is not healthy", re.IGNORECASE)


def passing(fault: Fault, *, met: bool) -> bool:
    """Whether the same request may succeed in a moment.

    met: the model has answered before. A server that does not find it any more is stopping or starting: it
        takes its models down one by one before it closes its ports, and opens these before it has them all.
    """
    if fault.code == "UNAVAILABLE":
        return not fault.restricted
    if fault.code == "CANCELLED":  # by a server that is stopping; who cancels himself does not go on
        return fault.answered
    if fault.code == "NOT_FOUND":
        return met
    return fault.code == "INTERNAL" and DEAD_STUB.search(fault.message) is not None


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with jitter, until the call's deadline.

    Args:
        first: seconds before the second attempt; doubled before each later one.
        longest: seconds no pause exceeds.
        unmet: seconds after which a server that has never answered this client is given up.
        jitter: draws from [0, 1); each pause lies between half and all of its length, so that clients do not
            return in step.
    """

    first: float = 0.1
    longest: float = 0.5
    unmet: float = 1.0
    jitter: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if not (0 < self.first <= self.longest and self.unmet >= 0):
            raise InvalidInput(f"a retry takes 0 < first <= longest and unmet >= 0, got {self}")

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before the second attempt, the third, and so on, without end."""
        pause = self.first
        while True:
            yield pause * (0.5 + self.jitter() / 2)
            pause = min(self.longest, 2 * pause)
