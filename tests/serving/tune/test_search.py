"""The search for the highest rate, on servers that are a number."""

import pytest
from tests.serving.tune.trials import point

from regard.serving.tune.search import CLOSE, MOST_RATES, Point, highest_rate


def search(capacity: float, limit: float) -> list[Point]:
    return highest_rate(capacity, lambda rate, turn: point(rate, met=rate <= limit))


@pytest.mark.parametrize("part", [0.15, 0.3, 0.5, 0.77, 0.9, 0.97])
def test_it_comes_close(part: float) -> None:
    points = search(200, 200 * part)
    best = max(found.rate for found in points if found.met)
    missed = min((found.rate for found in points if not found.met), default=200)
    assert best <= 200 * part <= missed
    assert missed - best <= 200 / 2**MOST_RATES + CLOSE * missed


def test_it_ends_where_nothing_meets_the_slo() -> None:
    points = search(100, 0)
    assert not any(found.met for found in points)
    assert [found.rate for found in points] == [100 / 2 ** (1 + n // 2) for n in range(2 * MOST_RATES)]


def test_it_never_asks_for_the_capacity_itself() -> None:
    assert max(found.rate for found in search(100, 1000)) < 100


def test_a_rate_that_is_missed_once_and_met_then_is_met() -> None:
    """The machine was busy for a moment."""
    points = highest_rate(100, lambda rate, turn: point(rate, met=rate < 80 and (turn == 1 or rate != 50)))
    assert [(found.rate, found.met) for found in points][:3] == [(50, False), (50, True), (75, True)]
