"""When to try again: only after faults where the server certainly gave no answer, and ever more slowly.

Inference changes nothing on the server, so a request that got no answer may be sent twice. One that was
refused for what it says (INVALID_ARGUMENT, NOT_FOUND) or for who sends it would be refused again.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from regard.errors import InvalidInput
from regard.serving.protocol.wire import Fault

# Triton answers UNAVAILABLE, too, where a protocol is restricted and the header is missing
RESTRICTED = "restricted"


def worth_retrying(fault: Fault) -> bool:
    """Whether the same request may succeed in a moment."""
    return fault.code == "UNAVAILABLE" and RESTRICTED not in fault.message.lower()


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with jitter.

    Args:
        attempts: how often a request is sent at most.
        first: seconds before the second attempt; doubled before each later one.
        longest: seconds no pause exceeds.
        jitter: draws from [0, 1); each pause lies between half and all of its length, so that clients do not
            return in step.
    """

    attempts: int = 4
    first: float = 0.1
    longest: float = 2.0
    jitter: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first < 0 or self.longest < self.first:
            raise InvalidInput(f"a retry takes attempts >= 1 and 0 <= first <= longest, got {self}")

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before the second attempt, the third, and so on."""
        for exponent in range(self.attempts - 1):
            yield min(self.longest, self.first * 2**exponent) * (0.5 + self.jitter() / 2)
