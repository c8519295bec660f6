"""Plant faults one after another, and keep what came of each."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.load import Load
from tests.faults.models import ENDPOINTS, artifacts, repository_of
from tests.faults.scene import REST, Fault, Scene, Setting
from tests.faults.servers import Serve, Server
from tests.faults.stack import Stack
from tests.faults.tally import LOST, REFUSED, RIGHT, Call, Tally


@dataclass(frozen=True)
class Counts:
    """A tally, as the report and the tests need it."""

    sent: int
    right: int
    refused: int
    lost: int
    codes: dict[str, int]
    reasons: list[str]

    @classmethod
    def of(cls, calls: Sequence[Call]) -> "Counts":
        tally = Tally(calls)
        reasons = [f"{count} x {said}" for said, count in tally.said(LOST).most_common(20)]
        return cls(
            tally.sent,
            tally.right,
            tally.refused,
            tally.lost,
            dict(tally.said(REFUSED).most_common()),
            reasons,
        )


@dataclass(frozen=True)
class Result:
    """What came of a fault.

    Attributes:
        where: the server that it was planted in.
        standing, others: what the standing callers were answered, and the fault's own.
        outage: seconds, the longest that a standing caller had no right answer.
        seconds: that all took.
        bins: right answers and others of the standing callers in each BIN seconds.
        events: seconds after the begin, with what happened then.
        faults: what is wrong beside lost calls.
        command: that measured it.
    """

    where: str
    name: str
    says: str
    own: str
    standing: Counts
    others: Counts
    outage: float
    seconds: float
    bins: list[tuple[int, int]]
    events: list[tuple[float, str]]
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    command: str = ""

    @property
    def good(self) -> bool:
        """Nothing is lost, all standing callers were answered, and nothing else is wrong."""
        return not (self.standing.lost or self.others.lost or self.standing.refused or self.faults)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"good": self.good}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Result":
        fields = {name: value for name, value in found.items() if name != "good"}
        counts = {who: Counts(**found[who]) for who in ("standing", "others")}
        return cls(**(fields | counts))


BIN = 0.25  # seconds
SERVERS: dict[str, Callable[[Path], Server]] = {"serve": Serve, "stack": Stack}


def planted(
    faults: Sequence[Fault], setting: Setting, folder: Path, servers: Sequence[str]
) -> Iterator[Result]:
    """Results, as they come. folder: on a disk that may be filled."""
    made = artifacts(folder / "artifacts")
    for name in servers:
        home = folder / name
        home.mkdir()
        server = SERVERS[name](repository_of(made, home / "repository"))
        biases: tuple[int, ...] = (0,)
        try:
            server.wait_until_ready(ENDPOINTS)
            for fault in faults:
                if belongs(fault, name, servers, setting):
                    scene = Scene(server, setting, home, made, biases)
                    yield plant(fault, scene, name)
                    biases = scene.biases
        finally:
            server.stop()


def belongs(fault: Fault, server: str, servers: Sequence[str], setting: Setting) -> bool:
    """Whether a fault is planted in one of the servers."""
    if fault.needs:
        return fault.needs == server
    return setting.twice or server == servers[-1]


def plant(fault: Fault, scene: Scene, where: str) -> Result:
    others: Sequence[Call] = ()
    with scene.standing() as callers, Load(callers, rest=REST) as load:
        scene.load = load
        begun = time.monotonic()
        time.sleep(scene.setting.before)
        try:
            others = fault.plant(scene) or ()
        except Exception as error:  # the others are still planted
            scene.faults.append(f"{type(error).__name__}: {error}")
        time.sleep(scene.setting.after)
    ended = time.monotonic()
    return Result(
        where=where,
        name=fault.name,
        says=fault.says,
        own=fault.own,
        standing=Counts.of(load.calls),
        others=Counts.of(others),
        outage=Tally(load.calls).outage(),
        seconds=ended - begun,
        bins=binned(load.calls, begun, ended),
        events=[(moment - begun, label) for moment, label in scene.events],
        notes=scene.notes,
        faults=scene.faults,
    )


def binned(calls: Sequence[Call], begun: float, ended: float) -> list[tuple[int, int]]:
    bins = [[0, 0] for _ in range(int((ended - begun) / BIN) + 1)]
    for call in calls:
        index = min(max(0, int((call.ended - begun) / BIN)), len(bins) - 1)
        bins[index][call.outcome != RIGHT] += 1
    return [(right, other) for right, other in bins]
