"""Watching a colour, which says what a test has it say."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from regard.serving.deploy.rollout import trial
from regard.serving.deploy.rollout.gateway import Gateway
from regard.serving.deploy.rollout.settings import Refused, Settings, Teller
from regard.serving.deploy.rollout.snapshots import Snapshot
from regard.serving.deploy.rollout.trial import Share, Trial
from regard.serving.deploy.supervised.status import Status


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LOOK", 0.0)


def status(answered: int, failed: int, **more: Any) -> Status:
    counted = {"requests": {"m": answered}, "failures": {"m": failed}, "memory_bytes": 1}
    return Status("b", "snapshots/1", "serving", None, 0.0, **(counted | more))


BUSY = status(0, 0, requests={}, failures={}, memory_bytes=0)


def watch(new: list[Status], old: list[Status]) -> Share:
    """Two looks at each colour, which tells the next of these at each."""
    told = {"a": iter(old), "b": iter(new)}
    gateway = SimpleNamespace(status=lambda colour: next(told[colour]))
    snapshot = SimpleNamespace(source="snapshots/1", added=SimpleNamespace(endpoints=()))
    trying = Trial(cast("Gateway", gateway), "a", "b", cast("Snapshot", snapshot), Settings(), Teller())
    return trying.watch("the canary", 0.0, beside="a" if old else None)


def test_failures_are_those_since_the_first_look() -> None:
    assert watch([status(50, 3), status(60, 3)], []) == Share(10, 0)
    with pytest.raises(Refused, match="1 of 11 live requests failed"):
        watch([status(50, 3), status(60, 4)], [])


def test_a_colour_that_is_too_busy_to_tell_is_asked_again() -> None:
    """Else the failures of a time before would be taken for those of now."""
    assert watch([BUSY, status(50, 3), BUSY, status(60, 3)], []) == Share(10, 0)


def test_an_old_colour_that_was_started_again_excuses_nothing() -> None:
    with pytest.raises(Refused, match="4 of 14 live requests failed"):
        watch([status(50, 0), status(60, 4)], [status(900, 90), status(5, 0)])


def test_what_fails_on_both_is_excused() -> None:
    new, old = [status(50, 0), status(60, 4)], [status(900, 90), status(909, 94)]
    assert watch(new, old) == Share(14, 4)
