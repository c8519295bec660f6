"""What a new version must hold, as it is written."""

import pytest

from regard.errors import InvalidInput
from regard.serving.deploy.rollout.objectives import Objectives, parse_objectives
from regard.serving.tune.slo import Slo


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Objectives()),
        ("p95=50ms,errors=0.1%", Objectives(times=None, latency=Slo(95, 50), errors=0.001)),
        (" p99.9=1s , memory=20MB", Objectives(times=None, latency=Slo(99.9, 1000), memory=20e6)),
        ("p50=1.5x", Objectives(percent=50, times=1.5)),
        ("agreement=97.5%", Objectives(agreement=0.975)),
        ("agreement=0%,memory=500kB", Objectives(agreement=0.0, memory=5e5)),
    ],
)
def test_reading(text: str, expected: Objectives) -> None:
    assert parse_objectives(text) == expected


def test_the_defaults_are_those_of_the_documentation() -> None:
    found = Objectives()
    assert (found.percent, found.times, found.errors, found.memory) == (95, 1.2, 0, 1e6)
    assert (found.seconds, found.requests) == (60, 1000)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fast", "an objective is p95=50ms"),
        ("p95", "p95=50ms|p99=50ms"),
        ("p95=50", "such as p99=50ms"),
        ("p95=0.5x", "at least as long"),
        ("p100=2x", "between 0 and 100"),
        ("errors=1", "errors is a percentage"),
        ("errors=101%", "errors is a percentage"),
        ("memory=1", "memory is a size"),
        ("speed=1", "an objective is"),
        ("errors=1%,errors=2%", "errors is named twice"),
        ("p95=50ms,p50=10ms", "a percentile is named twice"),
    ],
)
def test_what_is_no_objective(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse_objectives(text)


@pytest.mark.parametrize("changes", [{"seconds": 0.0}, {"requests": 0}])
def test_a_version_is_tried(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="tried for some seconds"):
        Objectives(**changes)  # type: ignore[arg-type]
