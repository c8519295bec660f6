"""Which setup dominates which, and which is to be taken."""

import json
from dataclasses import replace

import pytest
from tests.serving.tune.trials import point, trial

from regard.serving.tune.trial import Trial, choice, dominates, front, nearest


@pytest.mark.parametrize(
    "worse",
    [{"accuracy": 0.89}, {"p50": 6.0}, {"memory": 120_000_000}, {"points": (point(80),)}],
)
def test_better_in_one_and_as_good_in_the_others(worse: dict[str, object]) -> None:
    one, other = trial(100), trial(100, **worse)
    assert dominates(one, other)
    assert not dominates(other, one)
    assert not dominates(one, one)
    better = replace(other, memory=50_000_000, p50=1.0)  # in another way
    assert not dominates(one, better) or "memory" in worse or "p50" in worse
    assert front([one, other]) == [one]


def test_figures_that_are_nearly_equal_are_equal() -> None:
    """Else chance would put every setup on the front."""
    found = [trial(100, memory=100_000_000 + 1000 * number, p50=5.1 + number / 1000) for number in range(5)]
    assert front(found) == found
    assert front([*found, trial(100, memory=110_000_000, p50=5.1)]) == found


def test_what_was_not_searched_is_no_member_of_the_front() -> None:
    assert front([trial(100, p50=9.0), trial(0, points=(), searched=False, p50=1.0)]) == [trial(100, p50=9.0)]


def test_a_bound_of_the_rate_dominates_before_the_search() -> None:
    new = trial(0, capacity=90.0, p50=6.0)
    assert dominates(trial(100), new, rate=new.capacity)
    assert not dominates(trial(80), new, rate=new.capacity)


def test_the_choice_is_the_highest_rate_of_the_good_ones() -> None:
    fast, best, slow = trial(300, good=False, accuracy=0.5), trial(200, variant="int8"), trial(100)
    assert choice([slow, fast, best]) is best
    assert choice([fast]) is None
    assert choice([]) is None
    assert choice([trial(0)]) is None


def test_of_equal_rates_the_one_with_least_memory() -> None:
    lean, near, large = trial(100.0), trial(100.5, memory=200_000_000), trial(150, memory=10**9)
    assert choice([near, lean]) is lean
    assert choice([near, lean, large]) is large


def test_checks_count_more_than_the_search() -> None:
    """The highest of short measurements was lucky as well."""
    lucky = replace(trial(150), checks=(point(150, met=False), point(135)))
    lost = replace(trial(200), checks=(point(200, met=False),))
    assert (lucky.rate, lost.rate) == (135, 0)
    assert lucky.confirmed
    assert choice([lucky, lost, trial(140, variant="next")]) == trial(140, variant="next")


def test_the_nearest_misses_by_least() -> None:
    far, near, bad = trial(0, tail=90.0), trial(0, tail=60.0), trial(0, tail=1.0, good=False)
    assert nearest([far, near, bad]) is near
    assert nearest([bad]) is bad


def test_facts_are_json() -> None:
    found: Trial = replace(trial(150), checks=(point(150, met=False), point(135)))
    facts = json.loads(json.dumps(found.facts()))
    assert facts["rate"] == 135
    assert facts["setup"] == {"variant": "float32", "instances": 1, "threads": 1, "batching": False}
    assert [each["met"] for each in facts["checks"]] == [False, True]
