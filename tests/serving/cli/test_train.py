"""`regard train` says how long it will take."""

from regard.serving.cli.train import PACE, ExpectedTime, in_words


def test_the_time_left_is_said_once_from_the_pace_of_the_first_steps() -> None:
    seconds = iter([100.0, *(103.0 + step for step in range(PACE + 5))])  # the first step is slow
    expected = ExpectedTime(lambda: next(seconds))
    told = [expected.after(done, 1000) for done in range(41, 41 + PACE + 5)]  # resumed after 40 steps
    assert [step for step, left in enumerate(told) if left is not None] == [PACE]
    assert told[PACE] == (PACE + 2) / PACE * (1000 - 41 - PACE)


def test_durations() -> None:
    assert [in_words(each) for each in (4.2, 99, 180, 5400, 7200, 90_000)] == [
        "4 seconds",
        "99 seconds",
        "3 minutes",
        "90 minutes",
        "2.0 hours",
        "25.0 hours",
    ]
