"""One timeout for a whole call, however many requests and retries it takes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from regard.errors import InvalidInput


def checked_timeout(seconds: float) -> float:
    """The timeout itself.

    Raises:
        InvalidInput: not a positive, finite number of seconds.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InvalidInput(f"timeout must be a positive number of seconds, got {seconds!r}")
    return seconds


@dataclass(frozen=True)
class Deadline:
    """The moment, on `clock`, when `seconds` have passed."""

    seconds: float
    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """A deadline so many seconds from now."""
        return cls(seconds, clock() + checked_timeout(seconds), clock)

    def remaining(self) -> float:
        """Seconds left; 0 or less when it has passed."""
        return self.at - self.clock()
