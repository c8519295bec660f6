"""The service level objective: how long requests may take, "p99=50ms"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from regard.errors import InvalidInput
from regard.serving.bench.statistics import percentile

PATTERN = re.compile(r"p(?P<percent>\d+(\.\d+)?)=(?P<number>\d+(\.\d+)?)(?P<unit>ms|s)", re.ASCII)


@dataclass(frozen=True)
class Slo:
    """So many percent of the requests take at most so many milliseconds."""

    percent: float
    limit: float

    def __str__(self) -> str:
        return f"{self.name}={self.limit:g}ms"

    @property
    def name(self) -> str:
        """Of the percentile: p99."""
        return f"p{self.percent:g}"

    def of(self, latencies: Sequence[float]) -> float:
        """The percentile of latencies, in their unit; NaN of none."""
        return percentile(latencies, self.percent)

    def may_miss(self, requests: int) -> int:
        """How many of so many requests may take longer: with one more the percentile does."""
        return requests - ceil(self.percent / 100 * requests)


def parse_slo(text: str) -> Slo:
    """Read "p99=50ms", "p50=8.5ms" or "p99.9=1s".

    Raises:
        InvalidInput: it is none of those, no percentile between 0 and 100, or no time.
    """
    found = PATTERN.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            f"an SLO is a percentile and the longest time that it may be, such as p99=50ms; got {text!r}"
        )
    percent = float(found["percent"])
    if not 0 < percent < 100:
        raise InvalidInput(f"a percentile lies between 0 and 100, such as p99.9; got {text!r}")
    limit = float(found["number"]) * (1000 if found["unit"] == "s" else 1)
    if not limit:
        raise InvalidInput(f"an SLO allows more than no time, such as p99=50ms; got {text!r}")
    return Slo(percent, limit)
