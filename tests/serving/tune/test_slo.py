"""The SLO: how it is written, and how many requests may miss it."""

import math

import pytest

from regard.errors import InvalidInput
from regard.serving.tune.slo import Slo, parse_slo


@pytest.mark.parametrize(
    ("text", "percent", "limit"),
    [
        ("p99=50ms", 99, 50),
        (" p50=8.5ms ", 50, 8.5),
        ("p99.9=1s", 99.9, 1000),
        ("p90=0.25s", 90, 250),
    ],
)
def test_an_slo_is_read_and_written(text: str, percent: float, limit: float) -> None:
    assert parse_slo(text) == Slo(percent, limit)
    assert parse_slo(str(parse_slo(text))) == Slo(percent, limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50ms",
        "p99",
        "p99=50",
        "p99=50us",
        "p99=-1ms",
        "p99=fastms",
        "99=50ms",
        "P99=50ms",
        "p99=5e1ms",
        "p٩=1s",
    ],
)
def test_what_is_no_slo_is_shown_one(text: str) -> None:
    with pytest.raises(InvalidInput, match="such as p99=50ms"):
        parse_slo(text)


@pytest.mark.parametrize("text", ["p0=5ms", "p100=5ms", "p101=5ms"])
def test_a_percentile_that_there_is_not(text: str) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 100"):
        parse_slo(text)


def test_no_time_is_no_limit() -> None:
    with pytest.raises(InvalidInput, match="more than no time"):
        parse_slo("p99=0ms")


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9])
@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000, 1234])
def test_as_many_may_miss_it_as_the_percentile_allows(percent: float, count: int) -> None:
    slo = Slo(percent, 10)
    allowed = slo.may_miss(count)
    assert slo.of([1.0] * (count - allowed) + [20.0] * allowed) <= slo.limit
    if allowed < count:
        assert slo.of([1.0] * (count - allowed - 1) + [20.0] * (allowed + 1)) > slo.limit


def test_no_latencies_have_no_percentile() -> None:
    assert math.isnan(Slo(99, 1).of([]))
