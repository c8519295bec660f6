"""Who is refused because he would wait too long."""

from contextlib import ExitStack

import pytest

from regard.serving.triton.front.fields import Refused
from regard.serving.triton.front.pace import WAITING, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answer(pace: Pace, clock: Clock, seconds: float) -> None:
    with pace.turn(1.0) as answered:
        clock.now += seconds
        answered()


def test_nobody_is_refused_while_nothing_is_known_or_an_instance_is_free() -> None:
    clock = Clock()
    pace = Pace(2, clock)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(pace.turn(1e-6))
    answer(pace, clock, 5.0)
    with pace.turn(1e-6), pace.turn(1e-6):
        pass
    assert pace.in_flight == 0


def test_who_would_wait_longer_than_he_may_is_refused() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    answer(pace, clock, 0.02)
    clock.now += 1000  # idle time is no work
    answer(pace, clock, 0.02)
    with pace.turn(0.05), pace.turn(0.05):
        with pytest.raises(
            Refused, match=r"2 requests are before this one, .* about 0.06 s .* take 0.05"
        ) as caught:
            pace.turn(0.05).__enter__()
        assert caught.value.status == 503
        with pace.turn(0.07):
            assert pace.in_flight == 3
    assert pace.in_flight == 0


def test_the_pace_follows_what_was_answered_and_not_what_failed() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    answer(pace, clock, 1.0)
    for _ in range(30):
        answer(pace, clock, 0.01)
    with pytest.raises(ZeroDivisionError), pace.turn(1.0):
        raise ZeroDivisionError
    with pace.turn(0.05), pace.turn(0.05):
        pass


def test_the_most_that_wait() -> None:
    pace = Pace(2)
    with ExitStack() as stack:
        for _ in range(2 * (1 + WAITING)):
            stack.enter_context(pace.turn(1e9))
        with pytest.raises(Refused):
            pace.turn(1e9).__enter__()
