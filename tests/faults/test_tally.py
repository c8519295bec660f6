"""The checker can fail: what is lost is counted as lost."""

import threading
import time
from typing import Any

import pytest
from tests.faults.load import Load
from tests.faults.tally import GRACE, LOST, REFUSED, RIGHT, Call, Question, Tally, called

from regard.errors import InferenceError, InvalidInput, ServerUnreachable, UnknownName
from regard.serving.protocol.wire import Fault


def question(answer: Any, *refusals: str, timeout: float = 10.0) -> Question:
    def ask() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Question("somebody", ask, lambda got: got == "right", timeout, refusals)


def test_a_planted_wrong_answer_is_lost() -> None:
    assert called(question("right")).outcome == RIGHT
    wrong = called(question("wrong"))
    assert (wrong.outcome, wrong.said) == (LOST, "a wrong answer")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InferenceError("RESOURCE_EXHAUSTED", "too many", "net"), "RESOURCE_EXHAUSTED"),
        (ServerUnreachable("nobody there"), "UNAVAILABLE"),
        (UnknownName("no model"), "NOT_FOUND"),
        (InvalidInput("bad"), "INVALID_ARGUMENT"),
        (Fault("UNAUTHENTICATED", "who?"), "UNAUTHENTICATED"),
    ],
)
def test_a_refusal_with_another_code_is_lost(error: Exception, code: str) -> None:
    assert called(question(error, code)).outcome == REFUSED
    lost = called(question(error, "ABORTED"))
    assert (lost.outcome, code in lost.said) == (LOST, True)


def test_a_bug_of_the_client_is_lost() -> None:
    assert called(question(ZeroDivisionError("oh"), "UNAVAILABLE")).outcome == LOST


def test_an_answer_after_the_deadline_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0 + GRACE, 0.0, 1.5 + GRACE])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert called(question("right", timeout=1.0)).outcome == RIGHT
    assert called(question("right", timeout=1.0)).outcome == LOST


def test_who_hangs_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.load.GRACE", 0.05)
    for_ever = threading.Event()
    hanging = Question("he who hangs", for_ever.wait, lambda _: True, 0.05)
    with Load([[hanging], [question("right", timeout=0.05)]], rest=0.01) as load:
        while len(load.calls) < 2:
            time.sleep(0.01)
    for_ever.set()
    assert [call.who for call in load.calls if call.outcome == LOST] == ["he who hangs"]
    assert Tally(load.calls).right > 1


def test_the_outage_is_the_longest_time_without_a_right_answer() -> None:
    calls = [Call("a", t, t + 0.5, outcome) for t, outcome in ((0, RIGHT), (1, RIGHT), (2, LOST), (5, RIGHT))]
    assert Tally(calls).outage() == 4.0
    assert Tally([*calls, Call("b", 0, 9, REFUSED)]).outage() == 9.0  # he had none at all
    assert Tally(calls).lost == 1
    assert Tally([]).outage() == 0.0
