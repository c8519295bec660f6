"""Comparing a new version with the old one: the same images to both in turn, under load.

Each of a few clients sends an image to one version and then to the other, the next image the other way round:
whatever else the machine does meets both alike. What each client sends first warms up and counts for errors
alone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from regard.contract.answers.kind import AnswerKind, Array
from regard.serving.bench.statistics import percentile
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault, Request

TIMEOUT = 30.0  # seconds for a request
SAMPLES = 30  # looks at the memory
HELD_BACK, PAUSE = "RESOURCE_EXHAUSTED", 0.05  # the gateway's limit of requests, which is no version's fault
WARMING = 20  # images that a client sends to warm up; of fewer images each once
FEW = 400  # requests that tell nothing of memory yet


@dataclass(frozen=True)
class Agreement:
    """How far the answers to one image are equal, at worst, and how many decisions they hold."""

    share: float
    decisions: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was seen. Latencies in milliseconds.

    Attributes:
        seconds: how long it was.
        old, new: latencies of each version; of a new model `old` is empty.
        errors: of the new version, in words; old_errors: how many the old one had.
        agreements: by the image's number.
        memory: (requests that the new version had answered, bytes that its server took), as time went on.
    """

    seconds: float
    old: Sequence[float]
    new: Sequence[float]
    errors: Sequence[str]
    old_errors: int
    agreements: dict[int, Agreement]
    memory: Sequence[tuple[int, int]]

    @property
    def requests(self) -> int:
        """To the new version."""
        return len(self.new) + len(self.errors)

    @property
    def agreement(self) -> float | None:
        """Mean over the images; None of a new model."""
        shares = [each.share for each in self.agreements.values()]
        return float(np.mean(shares)) if shares else None

    @property
    def growth(self) -> float | None:
        """Bytes in 1000 requests, by the median of the slopes between any two looks (Theil, 1950; Sen, 1968)
        in the second half: in the first a server takes what it needs. None of too few requests.
        """
        settled = self.memory[len(self.memory) // 2 :]
        if len(settled) < 5 or settled[-1][0] - settled[0][0] < FEW:
            return None
        slopes = [
            (later[1] - earlier[1]) / (later[0] - earlier[0])
            for index, earlier in enumerate(settled)
            for later in settled[index + 1 :]
            if later[0] > earlier[0]
        ]
        return float(np.median(slopes)) * 1000

    def latency(self, percent: float) -> tuple[float, float]:
        """A percentile of the old version and of the new one; NaN of none."""
        return percentile(self.old, percent), percentile(self.new, percent)


@dataclass
class _Seen:
    """What the clients note down; appending to a list is safe from any thread."""

    old: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    old_errors: list[str] = field(default_factory=list)
    agreements: list[tuple[int, Agreement]] = field(default_factory=list)


def compare(
    old: Connection | None,
    new: Connection,
    requests: Sequence[Request],
    kind: AnswerKind,
    *,
    seconds: float,
    least: int,
    clients: int,
    look: Callable[[], tuple[int, int]],
    enough: Callable[[Comparison], bool] = lambda comparison: False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Comparison:
    """Send the requests again and again, for at least `seconds` and `least` times to the new version.

    Args:
        old: to the old version; None where there is none.
        new: to the new one.
        requests: of one image each.
        kind: of the answers.
        seconds, least: see above.
        clients: that send at the same time.
        look: requests that the new version answered so far, and the bytes that its server takes; 0 where
            that cannot be told.
        enough: asked now and then whether what was seen is enough already.
        progress: told the fraction that is done.

    Raises:
        RegardError: of `look`.
    """
    seen, stop, numbers = _Seen(), threading.Event(), count()
    start = time.monotonic()
    memory: list[tuple[int, int]] = []

    def so_far() -> Comparison:
        agreements: dict[int, Agreement] = {}
        for index, found in seen.agreements.copy():
            agreements[index] = min(found, agreements.get(index, found), key=lambda each: each.share)
        return Comparison(
            seconds=time.monotonic() - start,
            old=seen.old.copy(),
            new=seen.new.copy(),
            errors=seen.errors.copy(),
            old_errors=len(seen.old_errors),
            agreements=agreements,
            memory=tuple(memory),
        )

    with ThreadPoolExecutor(clients, thread_name_prefix="regard-compare") as pool:
        running = [
            pool.submit(_client, old, new, requests, kind, seen, stop, numbers) for _ in range(clients)
        ]
        try:
            while True:
                stop.wait(seconds / SAMPLES)
                answered, size = look()
                if size:  # else it could not be told
                    memory.append((answered, size))
                found = so_far()
                done = min(found.seconds / seconds, found.requests / least)
                progress(min(done, 1.0))
                if done >= 1 or enough(found) or any(each.done() for each in running):
                    break
        finally:
            stop.set()
        for each in running:
            each.result()  # a bug in a client is not a quiet one
    return so_far()


def _client(
    old: Connection | None,
    new: Connection,
    requests: Sequence[Request],
    kind: AnswerKind,
    seen: _Seen,
    stop: threading.Event,
    numbers: Iterator[int],
) -> None:
    warming = min(len(requests), WARMING)
    while not stop.is_set():
        number = next(numbers)
        index = number % len(requests)
        request = requests[index]
        asked = {"new": new} if old is None else {"old": old, "new": new}
        answers: dict[str, Array] = {}
        for side in sorted(asked, reverse=number // len(requests) % 2 == 0):
            try:
                answers[side], took = _answer(asked[side], request, kind, stop)
            except Fault as fault:
                (seen.errors if side == "new" else seen.old_errors).append(str(fault))
                continue
            except _Stopped:
                return
            if warming <= 0:
                (seen.new if side == "new" else seen.old).append(took)
        warming -= 1
        if len(answers) == 2:
            share = kind.agreement(answers["old"], answers["new"])
            seen.agreements.append(
                (index, Agreement(share, kind.agreeing(answers["old"], answers["old"]).size))
            )


def _answer(
    connection: Connection, request: Request, kind: AnswerKind, stop: threading.Event
) -> tuple[Array, float]:
    """The answer, and the milliseconds that it took."""
    while True:
        begin = time.perf_counter()
        try:
            answer = connection.infer(request, timeout=TIMEOUT).arrays[kind.tensor]
        except Fault as fault:
            if fault.code != HELD_BACK:
                raise
            if stop.wait(PAUSE):
                raise _Stopped from None
            continue
        took = (time.perf_counter() - begin) * 1000
        if (wrong := kind.fault(answer)) is not None:
            raise Fault("DATA_LOSS", f"{request.model} gives no answer: {wrong}")
        return answer, took


class _Stopped(Exception):
    """The comparison ended while a request was held back."""
