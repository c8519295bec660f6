"""Faults planted in `regard serve --watch` under load: what its clients lose, and how long they go without.

Four clients with their default retries and deadlines, one for each endpoint with shared memory and without,
ask two small models in turn. An answer is right if it is the one from before the fault. The outage is the
longest time that a client had no right answer of a model: beginning with the fault, and with all that a
client waits for of its own accord.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from harness import Figure, Network, console, export, mean_colour, run, street
from regard_serve import RegardServe
from torch import Tensor, nn

from regard import Client
from regard.contract.answers.label_map import LabelMap
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import decode
from regard.contract.results import Classification, Segmentation
from regard.errors import RegardError
from regard.serving.client.images import ImageLike
from regard.serving.repository import add
from regard.serving.triton.memory import descendants

LONGEST_OUTAGE = 4.0  # seconds, the target
BEFORE = 2.0  # seconds of load before the fault
REST = 0.01  # seconds between an answer and the next request
PATIENCE = 60.0  # seconds for a server to start
CLASSIFIER, SEGMENTER = "mean_colour", "pixel_colour"


class PixelColour(nn.Module):
    """Each pixel by its own colour alone. (B, 3, H, W) -> (B, 11, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Conv2d(3, 11, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(x)
        return scores


def pixel_colour() -> Network:
    torch.manual_seed(0)
    contract = ImageInput(height=240, width=320, resize="stretch")
    answer = LabelMap(labels=tuple(f"class {index}" for index in range(11)))
    origin = Origin(builder="faults:PixelColour")
    return PixelColour().eval(), Card(name=SEGMENTER, inputs=(contract,), answer=answer, origin=origin)


def kill(serve: RegardServe, part: str) -> None:
    """Kill -9 the process with `part` in its command."""
    (found,) = [pid for pid in descendants(serve.pid) if part in _command_of(pid)]
    os.kill(found, signal.SIGKILL)


FAULTS: dict[str, Callable[[RegardServe], None]] = {
    "kill -9 of a model's process": partial(kill, part=f" {SEGMENTER}_0_0 "),
    "kill -9 of an image endpoint's process": partial(kill, part=f" {SEGMENTER}_image_0_0 "),
    "kill -9 of the server": partial(kill, part="bin/tritonserver "),
    "SIGTERM, and started again": RegardServe.restart,
}


@dataclass
class Tally:
    """What one client was answered. outage: seconds, see above."""

    right: int = 0
    wrong: int = 0
    lost: list[str] = field(default_factory=list)  # the errors
    outage: float = 0.0

    @property
    def sent(self) -> int:
        return self.right + self.wrong + len(self.lost)


def measure(quick: bool) -> Sequence[Figure]:
    rounds, seconds = (1, 8.0) if quick else (3, 15.0)
    with tempfile.TemporaryDirectory(prefix="regard_faults_") as folder:
        repository = Path(folder) / "repository"
        for network, card in (mean_colour(224), pixel_colour()):
            console.print(f"exporting {card.name}")
            add(export(network, card, Path(folder) / card.name), repository, instances=1)
        return [
            figure
            for fault in FAULTS
            for figure in _figures(fault, [_planted(repository, fault, seconds) for _ in range(rounds)])
        ]


def _planted(repository: Path, fault: str, seconds: float) -> list[Tally]:
    """Each client's tally of a server that has the fault `seconds` before the end."""
    console.print(fault)
    jpegs = street()
    given: list[ImageLike] = [*map(decode, jpegs[:2]), *jpegs[2:4]]
    with serving(repository) as serve, ThreadPoolExecutor(len(given)) as threads:
        begin, done = threading.Barrier(len(given) + 1), threading.Event()
        asked = [
            threads.submit(_ask, serve.url, image, shared_memory, begin, done)
            for image, shared_memory in zip(given, (None, False, None, False), strict=True)
        ]
        try:
            begin.wait(PATIENCE)
            time.sleep(BEFORE)
            FAULTS[fault](serve)
            time.sleep(seconds)
        finally:
            done.set()
        return [each.result() for each in asked]


@contextmanager
def serving(repository: Path) -> Iterator[RegardServe]:
    serve = RegardServe(repository, "--watch")
    try:
        yield serve
    finally:
        serve.stop()


def _ask(
    url: str,
    image: ImageLike,
    shared_memory: bool | None,
    begin: threading.Barrier,
    done: threading.Event,
) -> Tally:
    """Ask both models in turn until done."""
    tally = Tally()
    with Client(url, shared_memory=shared_memory) as client:
        asks: list[Callable[[], list[Classification] | list[Segmentation]]] = [
            partial(client.classify, CLASSIFIER, image),
            partial(client.segment, SEGMENTER, image),
        ]
        expected = [_first_answer(ask) for ask in asks]
        begin.wait(PATIENCE)
        last_right = [time.monotonic()] * len(asks)
        while not done.is_set():
            for index, ask in enumerate(asks):
                try:
                    right = _content(ask()) == expected[index]
                except RegardError as error:
                    tally.lost.append(str(error))
                    continue
                if right:
                    tally.right += 1
                    now = time.monotonic()
                    tally.outage = max(tally.outage, now - last_right[index])
                    last_right[index] = now
                else:
                    tally.wrong += 1
                time.sleep(REST)
        tally.outage = max(tally.outage, time.monotonic() - min(last_right))
    return tally


def _first_answer(ask: Callable[[], list[Classification] | list[Segmentation]]) -> object:
    """Of a server that may still be starting."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _content(ask())
        except RegardError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _content(results: list[Classification] | list[Segmentation]) -> object:
    (result,) = results
    if isinstance(result, Segmentation):
        return result.label_map.tobytes()
    return [(label, round(probability, 5)) for label, probability in result.top]


def _figures(fault: str, rounds: Sequence[Sequence[Tally]]) -> list[Figure]:
    tallies = [tally for one in rounds for tally in one]
    sent, lost = sum(tally.sent for tally in tallies), [error for tally in tallies for error in tally.lost]
    wrong, outage = sum(tally.wrong for tally in tallies), max(tally.outage for tally in tallies)
    outages = [max(tally.outage for tally in one) for one in rounds]
    return [
        Figure(f"{fault}: lost", len(lost), "", sent, "requests", 0, details={"errors": sorted(set(lost))}),
        Figure(f"{fault}: wrong", wrong, "", sent, "requests", 0),
        Figure(
            f"{fault}: longest outage",
            outage,
            "s",
            len(rounds),
            "faults",
            LONGEST_OUTAGE,
            details={"outages": outages},
        ),
    ]


def _command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


if __name__ == "__main__":
    run("faults", "four clients of a server that dies and comes back", measure)
