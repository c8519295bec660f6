"""Setups in turn, with figures in place of servers: what fails, what ends it, and the choice once more."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.serving.tune.trials import point, trial

from regard.errors import ServerError
from regard.serving.tune import sweep
from regard.serving.tune.setup import Setup
from regard.serving.tune.sweep import Listener, Sweep, longest
from regard.serving.tune.trial import Trial, choice

ONE, TWO, THREE = (Setup("float32", count, 1, False) for count in (1, 2, 3))

Found = Callable[[Setup], Trial]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Sweep, list[Any]]]:
    """`measured(found, held=...)`: a sweep whose setups are what `found` says or raises, and a list of all
    that it measured and said; a rate holds when it is checked if it is at most `held`.
    """

    def make(found: Found, held: float = math.inf) -> tuple[Sweep, list[Any]]:
        seen: list[Any] = []

        def try_out(candidate: object, setup: Setup, *_: object) -> Trial:
            seen.append(setup)
            return replace(found(setup), setup=setup)

        def confirm(candidate: object, one: Trial, *_: object) -> Trial:
            seen.append(("once more", one.setup))
            return replace(one, checks=(point(one.rate, met=one.rate <= held),))

        monkeypatch.setattr(sweep, "try_out", try_out)
        monkeypatch.setattr(sweep, "confirm", confirm)
        candidates: Any = {"float32": None}
        return Sweep(candidates, None, None, Listener(say=seen.append)), seen  # type: ignore[arg-type]

    return make


def test_every_setup_once_and_the_choice_once_more(measured: Any) -> None:
    running, seen = measured(lambda setup: trial(100 * setup.instances))
    assert running.run([ONE, TWO], math.inf) == ""
    assert seen == [ONE, TWO, ("once more", TWO)]
    assert [one.rate for one in running.trials.values()] == [100, 200]


def test_a_choice_that_does_not_hold_gives_way_to_the_next(measured: Any) -> None:
    running, seen = measured(lambda setup: trial(100 * setup.instances), held=250)
    running.run([ONE, TWO, THREE], math.inf)
    assert seen[3:] == [("once more", THREE), ("once more", TWO)]
    best = choice([*running.trials.values()])
    assert best is not None
    assert (best.setup, best.confirmed) == (TWO, True)


def test_what_was_left_unsearched_is_searched_when_its_better_does_not_hold(measured: Any) -> None:
    first = [trial(0, capacity=150.0, points=(), searched=False), trial(140)]

    def found(setup: Setup) -> Trial:
        return first.pop(0) if setup is TWO else trial(200)

    running, seen = measured(found, held=150)
    running.run([ONE, TWO], math.inf)
    assert seen == [ONE, TWO, ("once more", ONE), TWO, ("once more", TWO)]
    best = choice([*running.trials.values()])
    assert best is not None
    assert (best.setup, best.rate) == (TWO, 140)


def test_what_fails_in_its_second_search_is_given_up(measured: Any) -> None:
    first = [trial(0, capacity=150.0, points=(), searched=False)]

    def found(setup: Setup) -> Trial:
        if setup is ONE:
            return trial(200)
        if first:
            return first.pop()
        raise ServerError("it has ended")

    running, _ = measured(found, held=150)
    running.run([ONE, TWO], math.inf)
    assert running.failed == {TWO: "it has ended"}
    assert list(running.trials) == [ONE]


def test_what_is_rightly_left_unsearched_stays_so(measured: Any) -> None:
    def found(setup: Setup) -> Trial:
        return trial(0, capacity=150.0, points=(), searched=False) if setup is TWO else trial(200)

    running, seen = measured(found)
    running.run([ONE, TWO], math.inf)
    assert seen == [ONE, TWO, ("once more", ONE)]


def test_where_nothing_holds_there_is_no_choice(measured: Any) -> None:
    running, seen = measured(lambda setup: trial(100), held=0)
    running.run([ONE, TWO], math.inf)
    assert len(seen) == 4
    assert choice([*running.trials.values()]) is None


def test_a_setup_that_fails_is_said_and_the_others_go_on(measured: Any) -> None:
    def found(setup: Setup) -> Trial:
        if setup is ONE:
            raise ServerError("no memory")
        return trial(100)

    running, seen = measured(found)
    assert running.run([ONE, TWO], math.inf) == ""
    assert running.failed == {ONE: "no memory"}
    assert list(running.trials) == [TWO]
    assert "float32, 1 instance x 1 thread: no memory" in seen


def test_where_all_fail_it_is_an_error(measured: Any) -> None:
    def found(setup: Setup) -> Trial:
        raise ServerError("no tritonserver here")

    running, _ = measured(found)
    with pytest.raises(ServerError, match="no setup could be measured: no tritonserver here"):
        running.run([ONE, TWO], math.inf)


def test_ctrl_c_keeps_what_was_measured(measured: Any) -> None:
    def found(setup: Setup) -> Trial:
        if setup is TWO:
            raise KeyboardInterrupt
        return trial(100)

    running, seen = measured(found)
    assert running.run([ONE, TWO, THREE], math.inf) == "interrupted"
    assert list(running.trials) == [ONE]
    assert seen == [ONE, TWO]


def test_after_the_deadline_no_other_is_begun(measured: Any) -> None:
    running, seen = measured(lambda setup: trial(100))
    assert running.run([ONE, TWO], -math.inf) == "budget"
    assert not seen


def test_progress_rises_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    def try_out(candidate: object, setup: Setup, *others: Any) -> Trial:
        for step in range(40):  # more than there are
            others[-1](str(step))
        return trial(100)

    monkeypatch.setattr(sweep, "try_out", try_out)
    monkeypatch.setattr(sweep, "confirm", lambda candidate, one, *_: replace(one, checks=(point(100),)))
    candidates: Any = {"float32": None}
    listener = Listener(watch=lambda done, what, step: told.append(done))
    setups: Sequence[Setup] = [ONE, TWO, THREE]
    Sweep(candidates, None, None, listener).run(setups, math.inf)  # type: ignore[arg-type]
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] <= 1


def test_the_time_that_it_takes_grows_with_the_setups() -> None:
    assert longest(1, 1) < longest(2, 1) < longest(2, 4)
