"""Where a fault is planted: a server under a standing load, whose callers must all be answered rightly."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.leaks import Footprint, footprint
from tests.faults.load import Load
from tests.faults.models import COLOUR, LARGEST, is_colour, is_largest, pixels, png
from tests.faults.servers import Server
from tests.faults.tally import RIGHT, Call, Question

from regard import Client
from regard.export.artifact import Artifact

DEADLINE = 30.0  # seconds of a standing caller, regard.Client's own
PATIENCE = 60.0  # seconds for everybody to be answered again
REST = 0.02  # seconds between an answer and the next question


@dataclass(frozen=True)
class Setting:
    """How long a run is.

    Attributes:
        before, after: seconds of load before a fault, and after all are answered again.
        lasting: seconds of a fault that lasts.
        callers: of a storm.
        connections: of slow, dead and vanished clients, of each kind.
        malformed: requests.
        soak: seconds.
        twice: plant what both servers can show in both.
        steady: share of its memory by which a server may grow in the last third of the soak.
    """

    before: float
    after: float
    lasting: float
    callers: int
    connections: int
    malformed: int
    soak: float
    steady: float
    twice: bool


SHORT = Setting(
    before=0.5,
    after=0.5,
    lasting=2,
    callers=16,
    connections=10,
    malformed=320,
    soak=6,
    twice=False,
    steady=0.25,
)
LONG = Setting(
    before=3,
    after=5,
    lasting=12,
    callers=64,
    connections=100,
    malformed=10_000,
    soak=600,
    twice=True,
    steady=0.05,
)


@dataclass
class Scene:
    """One fault's: a server, what it serves, and what has happened so far.

    Attributes:
        folder: of a disk of its own, which may be filled; the repository lies in it.
        biases: of the versions of `largest` that may answer.
        events: moments of time.monotonic, with a label.
        notes: what the report says beside the figures.
        faults: what is wrong beside lost calls.
    """

    server: Server
    setting: Setting
    folder: Path
    artifacts: dict[str, Artifact]
    biases: tuple[int, ...] = (0,)
    events: list[tuple[float, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    load: Load | None = None

    def mark(self, label: str) -> None:
        self.events.append((time.monotonic(), label))

    def lasts(self) -> None:
        time.sleep(self.setting.lasting)

    def settle(self) -> None:
        """Wait until every standing caller has asked all its questions anew, with a right answer."""
        assert self.load is not None
        since, end = time.monotonic(), time.monotonic() + PATIENCE
        everybody = {question.who for questions in self.load.callers for question in questions}
        while time.monotonic() < end:
            answered = {
                call.who for call in list(self.load.calls) if call.outcome == RIGHT and call.begun > since
            }
            if answered == everybody:
                return
            time.sleep(0.05)
        self.faults.append(f"{', '.join(sorted(everybody - answered))} had no answer for {PATIENCE:g} s")

    def footprint(self) -> Footprint:
        return footprint(self.server.roots(), self.server.family())

    @contextmanager
    def standing(self) -> Iterator[list[list[Question]]]:
        """Four callers with regard's clients, their retries and deadlines: over gRPC and HTTP, with shared
        memory where the server has it.
        """
        share = None if self.server.shared_memory else False
        with ExitStack() as stack:
            yield [
                questions(
                    stack.enter_context(self.server.client(protocol, timeout=DEADLINE, shared_memory=shared)),
                    f"{number} {protocol}",
                    seed=number,
                    biases=lambda: self.biases,
                    files=number % 2 == 1,
                )
                for number, (protocol, shared) in enumerate(
                    [("grpc", share), ("grpc", False), ("http", share), ("http", False)]
                )
            ]


def questions(
    client: Client, who: str, *, seed: int, biases: Callable[[], tuple[int, ...]], files: bool
) -> list[Question]:
    """To both models, in turn. files: ask with files, which the server decodes, instead of pixels."""
    scene, card = pixels(seed, 48, 64), pixels(seed, 8, 8)
    given: tuple[Any, Any] = (png(scene), png(card)) if files else (scene, card)
    return [
        Question(
            f"{who} {LARGEST}",
            partial(client.segment, LARGEST, given[0]),
            lambda results: is_largest(results, scene, biases()),
            DEADLINE,
        ),
        Question(
            f"{who} {COLOUR}",
            partial(client.classify, COLOUR, given[1], top_k=3),
            lambda results: is_colour(results, card),
            DEADLINE,
        ),
    ]


@dataclass(frozen=True)
class Fault:
    """One that the script plants.

    Attributes:
        name: of the row.
        says: what is done, in a sentence.
        plant: does it, under the standing load, and returns the calls of its own callers, if it has any.
        own: who these are.
        needs: "stack" for what only the gateway can show, "serve" for what only `regard serve` has.
    """

    name: str
    says: str
    plant: Callable[[Scene], Sequence[Call] | None]
    own: str = ""
    needs: str = ""
