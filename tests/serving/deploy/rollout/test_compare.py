"""The comparison and its verdict, on connections that answer as they are told."""

import threading
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from regard.contract.answers import Classes
from regard.serving.deploy.rollout.compare import Comparison, compare
from regard.serving.deploy.rollout.judge import faults, hopeless
from regard.serving.deploy.rollout.objectives import Objectives, parse_objectives
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Answer, Fault, Request

KIND = Classes(labels=("red", "green"))
IMAGES = [Request("m", "", {"image": np.array(number)}) for number in range(4)]
# these versions answer within microseconds, which a busy machine makes many times as long
QUICK = Objectives(seconds=0.2, requests=40, times=1e6)


class Version:
    """Answers by the image's number; `label` says which label is the likelier one."""

    def __init__(self, label: Callable[[int], int] = lambda number: 0, *, seconds: float = 0.0) -> None:
        self.label, self.seconds, self.asked, self.faults = label, seconds, 0, list[Fault]()
        self._lock = threading.Lock()

    def infer(self, request: Request, *, timeout: float) -> Answer:
        with self._lock:
            self.asked += 1
            fault = self.faults.pop() if self.faults else None
        if fault is not None:
            raise fault
        time.sleep(self.seconds)
        scores = np.eye(2, dtype=np.float32)[self.label(int(request.inputs["image"]))]
        return Answer({"probabilities": scores[None]})


def compared(
    old: Version | None, new: Version, objectives: Objectives = QUICK, *, leak: int = 0, **options: Any
) -> Comparison:
    def look() -> tuple[int, int]:
        asked = new.asked
        return asked, 10**8 + leak * asked

    return compare(
        cast("Connection", old) if old else None,
        cast("Connection", new),
        IMAGES,
        KIND,
        seconds=objectives.seconds,
        least=objectives.requests,
        clients=2,
        look=look,
        **options,
    )


def test_equal_versions_pass() -> None:
    found = compared(Version(), Version())
    assert faults(found, QUICK, agreement=1.0) == []
    assert found.requests >= QUICK.requests
    assert found.seconds >= QUICK.seconds
    assert found.agreement == 1.0
    assert len(found.agreements) == len(IMAGES)


def test_an_image_that_is_answered_otherwise() -> None:
    """One of four is 75 %; where 99 % is promised one decision of so few may differ, but no second one."""
    found = compared(Version(), Version(lambda number: int(number == 0)))
    assert found.agreement == 0.75
    assert faults(found, QUICK, agreement=0.99) == []
    (fault,) = faults(found, QUICK, agreement=1.0)
    assert "agreement with the old version is 75.00%, at least 100.00% passes" in fault
    assert faults(compared(Version(), Version(lambda number: number % 2)), QUICK, agreement=0.99)
    assert faults(found, QUICK, agreement=None) == []


def test_errors_of_the_new_version_alone_count() -> None:
    old, new = Version(), Version()
    old.faults, new.faults = [Fault("INTERNAL", "old")] * 3, [Fault("INTERNAL", "new")]
    found = compared(old, new)
    assert found.old_errors == 3
    (fault,) = faults(found, QUICK, agreement=1.0)
    assert fault.startswith("1 of ")
    assert fault.endswith("at most 0.00% may: INTERNAL: new")
    assert hopeless(found, QUICK)
    few = parse_objectives("errors=50%,p95=1000000x", QUICK)
    assert faults(found, few, agreement=1.0) == []


def test_what_the_gateway_holds_back_is_sent_again() -> None:
    new = Version()
    new.faults = [Fault("RESOURCE_EXHAUSTED", "too many requests")] * 5
    assert compared(Version(), new).errors == []


def test_an_answer_that_is_none_is_an_error() -> None:
    class Broken(Version):
        def infer(self, request: Request, *, timeout: float) -> Answer:
            return Answer({"probabilities": np.full((1, 2), np.nan, np.float32)})

    found = compared(Version(), Broken())
    assert "gives no answer" in found.errors[0]


def test_a_slow_version_is_given_up_early() -> None:
    objectives = Objectives(seconds=60, requests=10000)
    found = compared(
        Version(seconds=0.001),
        Version(seconds=0.02),
        objectives,
        enough=lambda so_far: hopeless(so_far, objectives),
    )
    (fault,) = faults(found, objectives, agreement=1.0)
    assert "its p95 is" in fault
    assert "at most 1.2 times as long passes" in fault
    assert found.seconds < 60


def test_an_absolute_limit_takes_the_place_of_the_old_version() -> None:
    found = compared(Version(), Version(seconds=0.02))
    assert faults(found, parse_objectives("p95=10s", QUICK), agreement=1.0) == []
    (fault,) = faults(found, parse_objectives("p50=1ms", QUICK), agreement=1.0)
    assert "its p50 is" in fault
    assert fault.endswith("at most 1 ms passes")


def test_a_new_model_is_compared_with_nothing() -> None:
    found = compared(None, Version())
    assert found.agreement is None
    assert faults(found, Objectives(), agreement=None) == []


def test_an_old_version_that_answers_nothing_proves_nothing() -> None:
    old = Version()
    old.faults = [Fault("INTERNAL", "old")] * 100000
    found = compared(old, Version())
    assert faults(found, QUICK, agreement=1.0)
    assert faults(found, parse_objectives("p95=10s", QUICK), agreement=1.0)


@pytest.mark.parametrize(("leak", "passes"), [(0, True), (500, True), (2000, False)])
def test_memory_that_grows_with_the_requests(leak: int, passes: bool) -> None:
    """By so many bytes for each; in 1000 of them 1 MB passes."""
    objectives = Objectives(seconds=0.5, requests=3000, times=1e6)
    found = compared(Version(), Version(), objectives, leak=leak)
    assert found.growth == pytest.approx(1000 * leak)
    assert (faults(found, objectives, agreement=1.0) == []) is passes


def test_memory_is_not_judged_by_a_few_requests() -> None:
    assert compared(Version(), Version(seconds=0.02), leak=10**6).growth is None


def test_a_colour_that_is_not_well_any_more_ends_it() -> None:
    def look() -> tuple[int, int]:
        raise RuntimeError("it died")

    with pytest.raises(RuntimeError, match="it died"):
        compare(None, cast("Connection", Version()), IMAGES, KIND, seconds=1, least=10, clients=2, look=look)
