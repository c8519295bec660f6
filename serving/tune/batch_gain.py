"""What computing several images at once gains over one after the other, in this process."""

import time
from dataclasses import dataclass

import numpy as np

from regard.contract.names import IMAGE
from regard.export.artifact import Artifact
from regard.export.sessions.open_artifact import open_artifact
from regard.serving.bench.images import pixels_of
from regard.serving.repository.config import PREFERRED_BATCH

ROUNDS = 5  # at least
SECONDS = 0.5  # at least, for both together
WORTH = 1.1  # times as many images a second: less is no reason to make one request wait for another


@dataclass(frozen=True)
class BatchGain:
    """Seconds of one image, and of `size` of them at once, with so many threads."""

    threads: int
    size: int
    one: float
    batch: float

    @property
    def factor(self) -> float:
        """How many times as many images a second."""
        return self.size * self.one / self.batch

    @property
    def saved(self) -> float:
        """Seconds for each image."""
        return self.one - self.batch / self.size


def batch_gain(artifact: Artifact, image: bytes, *, threads: int) -> BatchGain:
    """Measure it on an encoded image, in turns, the fastest of each.

    Raises:
        RegardError: the image does not fit, or the runtime does not take the graph.
    """
    session = open_artifact(artifact, threads=threads)
    outputs = [artifact.card.answer.tensor]
    one = pixels_of(image, artifact.card)[None]
    arrays = [one, np.repeat(one, PREFERRED_BATCH, axis=0)]
    for array in arrays:
        session.run(outputs, {IMAGE: array})
    seconds: list[list[float]] = [[], []]
    begun = time.perf_counter()
    while len(seconds[0]) < ROUNDS or time.perf_counter() - begun < SECONDS:
        for array, found in zip(arrays, seconds, strict=True):
            started = time.perf_counter()
            session.run(outputs, {IMAGE: array})
            found.append(time.perf_counter() - started)
    return BatchGain(threads, PREFERRED_BATCH, *(min(found) for found in seconds))
