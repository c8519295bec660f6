"""Trials made up of a few figures."""

from typing import Any

from regard.serving.tune.search import Point
from regard.serving.tune.setup import Setup
from regard.serving.tune.trial import Trial


def point(rate: float, *, met: bool = True, tail: float = 10.0) -> Point:
    return Point(rate=rate, met=met, tail=tail, requests=100, errors=0, stopped=not met)


def trial(
    rate: float, *, variant: str = "float32", instances: int = 1, batching: bool = False, **figures: Any
) -> Trial:
    """A trial that meets the SLO up to `rate` arrivals a second; at none where it is 0."""
    defaults: dict[str, Any] = {
        "backend": "onnxruntime",
        "accuracy": 0.9,
        "good": True,
        "p50": 5.0,
        "p99": 8.0,
        "tail": 8.0,
        "capacity": 1.2 * rate or 50.0,
        "memory": 100_000_000,
        "points": (point(rate),) if rate else (point(1.0, met=False, tail=90.0),),
    }
    return Trial(setup=Setup(variant, instances, 1, batching), **(defaults | figures))
