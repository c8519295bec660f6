"""What a new version must hold before it gets all requests: "p95=50ms,errors=0.1%".

| objective | means | by default |
|---|---|---|
| p95=1.5x, p99=2x | a percentile of its latency, at most so many times the old version's | p95=1.2x |
| p95=50ms, p99.9=1s | likewise, at most so long, whatever the old version takes | |
| errors=0.1% | of its requests, at most | none |
| agreement=99% | of its answers that are the old version's, at least | by lineage.py |
| memory=1MB | that it may grow by in 1000 requests | 1MB |
"""

import re
from dataclasses import dataclass, replace

from regard.errors import InvalidInput
from regard.serving.tune.slo import Slo, parse_slo

FORMS = "p95=50ms, p95=1.5x, errors=0.1%, agreement=99% or memory=1MB"
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)
_TIMES = re.compile(r"(\d+(?:\.\d+)?)x", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(kB|MB|GB)", re.ASCII)
_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)", re.ASCII)
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """What a new version must hold, and for how long it is tried.

    Attributes:
        percent: the percentile of the latency that is compared with the old version's.
        times: how many times the old version's that may be; None where `latency` is asked for instead.
        latency: an absolute limit.
        errors: the fraction of requests that may fail.
        agreement: the least fraction of answers that are the old version's; None leaves it to what the
            proofs of both versions promise, or to half of them where these are of other weights.
        memory: bytes that its server may grow by in 1000 requests.
        seconds, requests: it is compared for at least so long, and by at least so many requests.
    """

    percent: float = 95.0
    times: float | None = 1.2
    latency: Slo | None = None
    errors: float = 0.0
    agreement: float | None = None
    memory: float = 1e6
    seconds: float = 60.0
    requests: int = 1000

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.requests > 0):
            raise InvalidInput(
                "a new version is tried for some seconds and by some requests, got "
                f"{self.seconds:g} s and {self.requests}"
            )


def parse_objectives(text: str, defaults: Objectives = Objectives()) -> Objectives:
    """Read "p95=50ms,errors=0.1%"; what is not named stays as in `defaults`.

    Raises:
        InvalidInput: an objective is none of the forms, or is named twice.
    """
    found, seen = defaults, set[str]()
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        kind = "p95" if _PERCENTILE.fullmatch(key) else key
        if kind in seen:
            what = "a percentile" if kind == "p95" else kind
            raise InvalidInput(f"{what} is named twice in {text!r}; say it once")
        seen.add(kind)
        found = _with(found, part, key, value)
    return found


def _with(objectives: Objectives, part: str, key: str, value: str) -> Objectives:
    percentile, times = _PERCENTILE.fullmatch(key), _TIMES.fullmatch(value)
    if percentile and times:
        percent, factor = float(percentile[1]), float(times[1])
        if not 0 < percent < 100:
            raise InvalidInput(f"a percentile lies between 0 and 100, such as p99.9; got {part!r}")
        if factor < 1:
            raise InvalidInput(f"a new version may take at least as long as the old one, 1x; got {part!r}")
        return replace(objectives, percent=percent, times=factor, latency=None)
    if percentile:
        return replace(objectives, times=None, latency=parse_slo(part))
    if key in ("errors", "agreement"):
        share = _PERCENT.fullmatch(value)
        if share is None or float(share[1]) > 100:
            raise InvalidInput(f"{key} is a percentage of the requests, such as {key}=0.1%; got {part!r}")
        fraction = float(share[1]) / 100
        if key == "errors":
            return replace(objectives, errors=fraction)
        return replace(objectives, agreement=fraction)
    if key == "memory":
        size = _SIZE.fullmatch(value)
        if size is None:
            raise InvalidInput(f"memory is a size for 1000 requests, such as memory=1MB; got {part!r}")
        return replace(objectives, memory=float(size[1]) * _BYTES[size[2]])
    raise InvalidInput(f"an objective is {FORMS}; got {part!r}")
