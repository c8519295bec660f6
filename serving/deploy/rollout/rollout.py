"""Rolling out a new version: the idle colour gets a snapshot with it, proves itself step by step, and takes
the requests over; whatever speaks against it, they stay where they were.

| step | who answers | what can end it |
|---|---|---|
| preflight, snapshot | old | the artifact, memory, the disk |
| start, goldens | old | the new server, or another model on it, is not well |
| mirror, comparison | old; the new one gets copies | errors, latency, agreement, memory |
| canary | old, and the new one to some percent | errors |
| all | new | errors: back to the old one, which still runs |
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard.errors import InvalidInput, RegardError
from regard.serving.deploy.colours import folder_of, read_colours, write_colours
from regard.serving.deploy.rollout.comparing import compare_colours
from regard.serving.deploy.rollout.gateway import Gateway
from regard.serving.deploy.rollout.history import Entry, Event, last_change, note, read_history, rolled_back
from regard.serving.deploy.rollout.preflight import check_disk, check_memory, check_stateless
from regard.serving.deploy.rollout.settings import Refused, Settings, Teller
from regard.serving.deploy.rollout.settled import let_go, taken_up
from regard.serving.deploy.rollout.snapshots import Addition, Snapshot, prune, take_snapshot
from regard.serving.deploy.rollout.trial import Trial
from regard.serving.deploy.rollout.underway import (
    Underway,
    alone,
    forget_underway,
    note_promoted,
    note_underway,
    read_underway,
)
from regard.serving.deploy.routing import Routing, other, read_routing, write_routing


@dataclass(frozen=True)
class Place:
    """A deployment: its folder, the model repository, and its gateway."""

    folder: Path
    repository: Path
    gateway: Gateway


def roll_out(place: Place, addition: Addition, settings: Settings, tell: Teller) -> Entry:
    """Roll a version out; what the history says of it.

    Raises:
        InvalidInput, ExportError: it cannot be tried; nothing was changed.
        Refused: it was tried, and was not taken.
        RegardError: the gateway or a colour does not answer. What served before serves on.
    """
    with alone(place.folder):
        recover(place, tell)
        main = read_routing(place.folder).main
        idle = other(main)
        write_routing(place.folder, Routing(main))
        snapshot = _prepare(place, addition, main, idle, tell)
        underway = Underway(
            main=main,
            colour=idle,
            source=snapshot.source,
            before=read_colours(place.folder)[idle],
            model=snapshot.added.name,
            version=snapshot.added.version,
            before_version=snapshot.before,
            endpoint=snapshot.added.endpoints[0],
        )
        with _taking_back(place, underway, tell):
            figures = _try(place, underway, snapshot, settings, tell)
        entry = _promoted(underway, figures)
        _finish(place, entry)
        tell.step(f"{_named(underway)} serves on {idle}; {main} keeps what it had until it is retired")
        return entry


def recover(place: Place, tell: Teller) -> None:
    """Clean up after a rollout whose process died: what served before it serves, unless all requests had gone
    to the new version already. For who holds the deployment alone.

    Raises:
        InvalidInput, ExportError: a file cannot be written.
    """
    underway = read_underway(place.folder)
    if underway is None:
        _note_rollback(place)
        return
    if any(underway.source in (last.source, last.tried_source) for last in read_history(place.folder)[-1:]):
        _forget(place)  # it died when all was done and written down
        return
    if underway.promoted and read_routing(place.folder).main == underway.colour:
        _finish(place, _promoted(underway, {}))
        tell.step(f"an earlier rollout ended after {_named(underway)} had got all requests; it serves on")
        return
    _take_back(place, underway, "interrupted", "its process ended")
    tell.step(f"an earlier rollout of {_named(underway)} was interrupted and is taken back")


def _note_rollback(place: Place) -> None:
    """Where one gave the requests back, and its process died before it wrote that down."""
    last, main = last_change(place.folder), read_routing(place.folder).main
    if last is not None and last.event == "promoted" and last.colour != main:
        source = read_colours(place.folder)[main]
        note(place.folder, rolled_back(last, main, source, reason="noted later: its process ended"))


def _prepare(place: Place, addition: Addition, main: str, idle: str, tell: Teller) -> Snapshot:
    """Look whether there is room, and take the snapshot."""
    active, source = place.gateway.status(main), read_colours(place.folder)[main]
    if source is None or active.state != "serving" or active.source != source:
        raise InvalidInput(
            f"the colour {main} gets the requests and does not serve {source or 'anything'} (it is "
            f"{active.state}{': ' + active.reason if active.reason else ''}); mend that first"
        )
    served = folder_of(source, deployment=place.folder, repository=place.repository)
    check_stateless(served, addition.artifact)
    check_memory(active, place.gateway.status(idle), addition.artifact)
    check_disk(place.folder, place.repository, source, addition.artifact)
    tell.step(f"{main} serves {source}; there is room for a second server")
    past = [name for entry in read_history(place.folder) for name in (entry.source, entry.tried_source)]
    snapshot = take_snapshot(place.folder, place.repository, source, addition, past=past)
    added, before = snapshot.added, snapshot.before
    instead = "a new model" if before is None else f"in place of version {before}"
    tell.step(f"{snapshot.source} holds {added.name} version {added.version}, {instead}")
    return snapshot


def _try(
    place: Place, underway: Underway, snapshot: Snapshot, settings: Settings, tell: Teller
) -> dict[str, Any]:
    """All steps that may end with the version being refused; what was measured."""
    main, colour = underway.main, underway.colour
    trial = Trial(place.gateway, main, colour, snapshot, settings, tell)
    note_underway(place.folder, underway)
    write_colours(place.folder, read_colours(place.folder) | {colour: snapshot.source})
    started = trial.wait()
    tell.step(
        f"{colour} serves it, with {len(started.models)} endpoints in {started.memory_bytes / 1e6:.0f} MB"
    )
    trial.verify()
    tell.step("it answers its goldens as it was exported, over HTTP and gRPC")
    write_routing(place.folder, Routing(main, mirror=100))
    mirrored = trial.watch("mirroring live requests", settings.mirror, beside=main)
    tell.step(f"mirrored for {settings.mirror:g} s: {mirrored.requests} requests, {mirrored.failures} failed")
    compared = compare_colours(trial, settings, tell)
    write_routing(place.folder, Routing(main, canary=settings.canary))
    canary = trial.watch(
        f"{settings.canary} % of the requests are its",
        settings.watch,
        beside=main,
    )
    tell.step(f"canary of {settings.canary} %: {canary.requests} requests, {canary.failures} failed")
    write_routing(place.folder, Routing(colour))
    taken_up(place.gateway, underway.endpoint, underway.version)
    full = trial.watch("all requests are its", settings.watch, beside=None)
    tell.step(f"all requests: {full.requests} came, {full.failures} failed")
    note_promoted(place.folder, underway)
    return compared | {"mirrored": asdict(mirrored), "canary": asdict(canary), "all": asdict(full)}


@contextmanager
def _taking_back(place: Place, underway: Underway, tell: Teller) -> Iterator[None]:
    """What served before serves on, whatever ends the block before its end."""
    try:
        yield
    except RegardError as error:
        write_routing(place.folder, Routing(underway.main))
        entry, left = None, ""
        try:
            entry = _take_back(place, underway, "refused", str(error))
        except RegardError as fault:  # such as a full disk
            left = f"; the next rollout cleans up what this one could not: {fault}"
        refused = Refused(f"{_named(underway)} is not taken: {error}. {underway.main} serves as before{left}")
        refused.entry = entry
        raise refused from None
    except BaseException as error:
        _take_back(place, underway, "interrupted", f"it was ended by {type(error).__name__}")
        tell.step(f"{_named(underway)} is taken back; {underway.main} serves as before")
        raise


def _take_back(place: Place, underway: Underway, event: Event, reason: str) -> Entry:
    """First the requests, then, when the gateway sends none there any more, the colour that was tried."""
    write_routing(place.folder, Routing(underway.main))
    with suppress(RegardError):  # the gateway may be what is at fault
        let_go(place.gateway, underway.endpoint, underway.version)
    colours = read_colours(place.folder) | {underway.colour: underway.before}
    write_colours(place.folder, colours)
    entry = Entry(
        event=event,
        colour=underway.main,
        source=colours[underway.main],
        model=underway.model,
        version=underway.before_version,
        tried=underway.version,
        tried_source=underway.source,
        before=underway.before_version,
        reason=reason,
    )
    _finish(place, entry)
    return entry


def _promoted(underway: Underway, figures: dict[str, Any]) -> Entry:
    return Entry(
        event="promoted",
        colour=underway.colour,
        source=underway.source,
        model=underway.model,
        version=underway.version,
        before=underway.before_version,
        figures=figures,
    )


def _finish(place: Place, entry: Entry) -> None:
    """Write down what came of it; nothing is under way any more."""
    note(place.folder, entry)
    _forget(place)


def _forget(place: Place) -> None:
    forget_underway(place.folder)
    prune(place.folder, read_colours(place.folder).values())


def _named(underway: Underway) -> str:
    return f"{underway.model} version {underway.version}"
