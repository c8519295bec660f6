"""What becomes of the traffic when a rollout ends in the middle, and how one goes back. The colours say that
they serve what colours.json says, and the gateway that it has taken that up.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.serving.triton.tiny_families import summing

from regard.errors import InvalidInput, ServerUnreachable
from regard.export.artifact import Artifact
from regard.serving.deploy.colours import read_colours, write_colours
from regard.serving.deploy.rollout import rollout
from regard.serving.deploy.rollout.changes import retire, roll_back
from regard.serving.deploy.rollout.gateway import Gateway
from regard.serving.deploy.rollout.history import Entry, note, read_history
from regard.serving.deploy.rollout.preflight import check_disk, check_memory, check_stateless
from regard.serving.deploy.rollout.rollout import Place, roll_out
from regard.serving.deploy.rollout.settings import Refused, Settings, Teller
from regard.serving.deploy.rollout.snapshots import Addition
from regard.serving.deploy.rollout.state import state_of
from regard.serving.deploy.rollout.underway import alone, note_promoted, read_underway
from regard.serving.deploy.routing import Routing, read_routing, write_routing
from regard.serving.deploy.supervised.status import ModelStatus, State, Status
from regard.serving.protocol.codec import Reply
from regard.serving.repository.add import add
from regard.serving.repository.listing import find
from regard.serving.triton.interrupts import Stopped

QUIET = Teller()


class Colours:
    """A gateway before two colours. states: of those that do not serve what they should."""

    def __init__(self, deployment: Path, repository: Path) -> None:
        self.deployment, self.repository = deployment, repository
        self.states: dict[str, State] = {}

    def status(self, colour: str) -> Status:
        source = read_colours(self.deployment)[colour]
        state: State = self.states.get(colour, "serving" if source else "idle")
        models = {"largest": ModelStatus((1,), "ok"), "largest_image": ModelStatus((1,), "ok")}
        return Status(colour, source, state, None, 0.0, models=models, memory_bytes=10**6)

    def connection(self, colour: str | None) -> Any:
        def exchange(message: object, *, timeout: float) -> Reply:
            source = read_colours(self.deployment)[read_routing(self.deployment).main]
            folder = self.repository if source == "repository" else self.deployment / str(source)
            versions = find(folder, "largest").versions
            return Reply(json.dumps({"versions": [str(versions[-1])]}).encode())

        return SimpleNamespace(exchange=exchange)


@pytest.fixture
def colours(tmp_path: Path, repository: Path) -> Colours:
    (tmp_path / "deployment").mkdir()
    return Colours(tmp_path / "deployment", repository)


@pytest.fixture
def place(colours: Colours) -> Place:
    return Place(colours.deployment, colours.repository, cast("Gateway", colours))


@pytest.fixture
def begun(place: Place, biased: Artifact, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Entry]:
    """`begun(end)`: roll `biased` out until it is the canary, or has all requests where `everything`, and
    call `end` then.
    """

    def run(end: Callable[[], object] = lambda: None, *, everything: bool = False) -> Entry:
        def trying(place: Place, underway: Any, *_: object) -> dict[str, Any]:
            rollout.note_underway(place.folder, underway)
            write_colours(place.folder, read_colours(place.folder) | {underway.colour: underway.source})
            write_routing(
                place.folder, Routing(underway.colour) if everything else Routing(underway.main, canary=10)
            )
            if everything:
                note_promoted(place.folder, underway)
            end()
            return {}

        monkeypatch.setattr(rollout, "_try", trying)
        return roll_out(place, Addition(artifact=biased, name="largest"), Settings(), QUIET)

    return run


def raising(error: BaseException) -> Callable[..., object]:
    def end(*_: object) -> None:
        raise error

    return end


def as_before(place: Place) -> bool:
    return (
        read_routing(place.folder) == Routing("a")
        and read_colours(place.folder) == {"a": "repository", "b": None}
        and read_underway(place.folder) is None
        and not [*(place.folder / "snapshots").iterdir()]
    )


@pytest.mark.parametrize("error", [Refused("it is bad"), ServerUnreachable("the gateway is gone")])
def test_what_speaks_against_it_takes_it_back(
    place: Place, begun: Callable[..., Entry], error: Exception
) -> None:
    with pytest.raises(
        Refused, match=f"largest version 2 is not taken: {error}. a serves as before"
    ) as refused:
        begun(raising(error))
    assert as_before(place)
    (entry,) = read_history(place.folder)
    assert (entry.event, entry.tried, entry.reason) == ("refused", 2, str(error))
    assert refused.value.entry == entry


def test_a_disk_that_is_full_by_then_keeps_no_request_from_the_old_version(
    place: Place, begun: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise InvalidInput("cannot write colours.json: the disk is full")

    def end() -> None:
        monkeypatch.setattr(rollout, "write_colours", full)
        raise Refused("it is bad")

    with pytest.raises(
        Refused, match="it is bad. a serves as before; the next rollout cleans up .* disk is full"
    ):
        begun(end)
    assert read_routing(place.folder) == Routing("a")
    monkeypatch.undo()
    with alone(place.folder):
        rollout.recover(place, QUIET)
    assert as_before(place)


def test_an_interrupt_takes_it_back(place: Place, begun: Callable[..., Entry]) -> None:
    with pytest.raises(Stopped):
        begun(raising(Stopped()))
    assert as_before(place)
    assert read_history(place.folder)[-1].event == "interrupted"


def test_the_next_rollout_cleans_up_after_one_that_was_killed(
    place: Place, begun: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No handler ran: the canary still has its share of the requests."""
    with monkeypatch.context() as killed:
        killed.setattr(rollout, "_take_back", lambda *_: None)
        with pytest.raises(Stopped):
            begun(raising(Stopped()))
    assert read_routing(place.folder) == Routing("a", canary=10)
    assert state_of(place)["underway"]["version"] == 2
    steps: list[str] = []
    with alone(place.folder):
        rollout.recover(place, Teller(steps.append))
    assert as_before(place)
    assert steps == ["an earlier rollout of largest version 2 was interrupted and is taken back"]
    assert begun(everything=True).source == "snapshots/2"


def test_one_that_was_killed_after_its_promotion_has_promoted(
    place: Place, begun: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(rollout, "_take_back", lambda *_: None)
        with pytest.raises(Stopped):
            begun(raising(Stopped()), everything=True)
    with alone(place.folder):
        rollout.recover(place, QUIET)
    assert read_routing(place.folder) == Routing("b")
    assert read_colours(place.folder) == {"a": "repository", "b": "snapshots/1"}
    (entry,) = read_history(place.folder)
    assert (entry.event, entry.version, entry.before) == ("promoted", 2, 1)
    assert roll_back(place, QUIET).version == 1


def test_one_that_was_killed_while_it_was_taken_back_after_its_promotion_is_taken_back(
    place: Place, begun: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requests, which are given back first, are the old version's already."""
    with monkeypatch.context() as killed:
        killed.setattr(
            rollout, "_take_back", lambda place, underway, *_: write_routing(place.folder, Routing("a"))
        )
        with pytest.raises(Stopped):
            begun(raising(Stopped()), everything=True)
    with alone(place.folder):
        rollout.recover(place, QUIET)
    assert as_before(place)
    assert [entry.event for entry in read_history(place.folder)] == ["interrupted"]


@pytest.mark.parametrize("promoted", [True, False])
def test_one_that_was_killed_at_its_very_end_is_in_the_history_once(
    place: Place, begun: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch, promoted: bool
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(rollout, "_forget", raising(Stopped()))
        with pytest.raises(Stopped):
            begun(everything=True) if promoted else begun(raising(Refused("it is bad")))
    with alone(place.folder):
        rollout.recover(place, QUIET)
    assert [entry.event for entry in read_history(place.folder)] == ["promoted" if promoted else "refused"]
    assert read_underway(place.folder) is None
    assert read_routing(place.folder) == Routing("b" if promoted else "a")


def test_two_at_once_are_refused(place: Place, begun: Callable[..., Entry]) -> None:
    with alone(place.folder):
        for attempt in (begun, lambda: roll_back(place, QUIET), lambda: retire(place, QUIET)):
            with pytest.raises(InvalidInput, match="another rollout of .* is under way"):
                attempt()


def test_a_colour_that_does_not_serve_is_mended_first(
    place: Place, colours: Colours, begun: Callable[..., Entry]
) -> None:
    colours.states["a"] = "restarting"
    with pytest.raises(InvalidInput, match="does not serve repository .it is restarting.; mend that first"):
        begun()
    assert read_colours(place.folder) == {"a": "repository", "b": None}


def test_going_back_and_freeing(place: Place, colours: Colours, begun: Callable[..., Entry]) -> None:
    for attempt in (roll_back, retire):
        with pytest.raises(InvalidInput, match="nothing to"):
            attempt(place, QUIET)
    begun(everything=True)
    colours.states["a"] = "starting"
    with pytest.raises(InvalidInput, match="a, which served before, does not serve repository"):
        roll_back(place, QUIET)
    assert read_routing(place.folder) == Routing("b")
    del colours.states["a"]
    assert roll_back(place, QUIET).event == "rolled back"
    assert read_routing(place.folder) == Routing("a")
    with pytest.raises(InvalidInput, match="nothing to go back to"):
        roll_back(place, QUIET)
    assert retire(place, QUIET).source == "snapshots/1"
    assert as_before(place)
    assert [entry.event for entry in read_history(place.folder)] == ["promoted", "rolled back", "retired"]


def test_going_back_is_in_the_history_where_its_process_was_killed(
    place: Place, begun: Callable[..., Entry]
) -> None:
    begun(everything=True)
    write_routing(place.folder, Routing("a"))  # what it does first
    with pytest.raises(InvalidInput, match="nothing to go back to"):
        roll_back(place, QUIET)
    last = read_history(place.folder)[-1]
    assert (last.event, last.colour, last.source) == ("rolled back", "a", "repository")
    assert (last.version, last.before) == (1, 2)
    retire(place, QUIET)
    assert [entry.event for entry in read_history(place.folder)] == ["promoted", "rolled back", "retired"]


def test_a_deployment_without_a_folder(place: Place, colours: Colours, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder of a deployment"):
        retire(Place(tmp_path / "none", colours.repository, place.gateway), QUIET)


def test_room_for_both_colours(place: Place, biased: Artifact, tmp_path: Path) -> None:
    """What the idle colour still takes is given back first."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8000 kB\nMemAvailable: 1000 kB\n")
    active, idle = place.gateway.status("a"), place.gateway.status("b")
    check_memory(active, idle, biased, meminfo=meminfo)
    meminfo.write_text("MemTotal: 8000 kB\nMemAvailable: 100 kB\n")
    check_memory(active, idle, biased, meminfo=meminfo)
    large = Status("a", "repository", "serving", None, 0.0, memory_bytes=5 * 10**9)
    with pytest.raises(InvalidInput, match=r"a second server takes about 5.00 GB, .* free some memory first"):
        check_memory(large, idle, biased, meminfo=meminfo)


def test_room_on_the_disk(place: Place, biased: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    check_disk(place.folder, place.repository, "repository", biased)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(InvalidInput, match="free some space first"):
        check_disk(place.folder, place.repository, "repository", biased)


def test_no_session_is_moved(colours: Colours, biased: Artifact, tmp_path: Path) -> None:
    """Neither the new model's, nor one of a model beside it, whose requests are moved as well."""
    check_stateless(colours.repository, biased)
    remembering = summing(tmp_path / "remembering", name="remembering")
    with pytest.raises(InvalidInput, match="remembering answers in sessions"):
        check_stateless(colours.repository, remembering)
    add(remembering, tmp_path / "served")
    with pytest.raises(InvalidInput, match="remembering answers in sessions"):
        check_stateless(tmp_path / "served", biased)


def test_a_line_that_a_full_disk_cut_off_is_left_out_of_the_history(tmp_path: Path) -> None:
    entry = Entry(event="promoted", colour="b", source="snapshots/1", model="m", version=2)
    note(tmp_path, entry)
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"event": "prom')
    note(tmp_path, entry)
    assert read_history(tmp_path) == [entry, entry]
