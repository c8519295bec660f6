"""Rollouts on a real gateway and real servers, while clients ask all the time."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.serving.deploy.local_stack import LocalStack
from tests.serving.deploy.rollout.conftest import QUICK
from tests.serving.deploy.rollout.models import version
from tests.serving.deploy.rollout.traffic import traffic

from regard.serving.deploy.rollout.changes import retire, roll_back
from regard.serving.deploy.rollout.history import Entry
from regard.serving.deploy.rollout.rollout import Place
from regard.serving.deploy.rollout.settings import Teller
from regard.serving.deploy.routing import Routing, read_routing

QUIET = Teller()


def test_a_good_version_takes_over_and_a_rollback_gives_back_and_no_request_is_lost(
    stack: LocalStack,
    place: Place,
    rolled_out: Callable[..., Entry],
    tmp_path: Path,
    until: Callable[[Callable[[], bool]], None],
) -> None:
    """Of clients that do not try again, over both protocols; after each switch no answer is the other's."""
    steps: list[str] = []
    otherwise = replace(QUICK, agreement=0.0)
    with traffic(stack.gateway, (0, 1)) as seen:
        until(lambda: len(seen.records) >= 20)
        entry = rolled_out(
            version(tmp_path / "new", bias=1, weights="6" * 64),
            objectives=otherwise,
            tell=Teller(steps.append),
        )
        promoted = time.monotonic()
        until(lambda: len(seen.biases(promoted)) > 0)
        time.sleep(0.3)
        going_back = time.monotonic()
        back = roll_back(place, QUIET)
        returned = time.monotonic()
        until(lambda: len(seen.biases(returned)) > 0)
        time.sleep(0.3)
    assert (entry.event, entry.colour, entry.version, entry.before) == ("promoted", "b", 2, 1)
    assert (back.event, back.colour, back.version) == ("rolled back", "a", 1)
    assert not seen.lost
    assert not seen.wrong
    assert seen.biases(promoted, going_back) == {1}
    assert seen.biases(returned) == {0}
    assert entry.figures["mirrored"]["requests"] > 0
    assert entry.figures["canary"]["requests"] > 0
    assert "agreement 0.00% (at least 0.00%, as asked for)" in " ".join(steps)
    assert read_routing(place.folder) == Routing("a")
    assert retire(place, QUIET).source == "snapshots/1"
    until(lambda: stack.status("b")["state"] == "idle")
    assert not (place.folder / "snapshots" / "1").exists()
