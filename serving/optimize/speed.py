"""How fast a variant is beside float32, both in this process, in turn, on one thread."""

import time
from statistics import median

import numpy as np

from regard.contract.judgement import Speed
from regard.contract.names import IMAGE
from regard.errors import ExportError
from regard.export.artifact import Artifact
from regard.export.sessions.open_artifact import open_artifact
from regard.serving.bench.report import machine
from regard.serving.evaluate.compare import in_turn

RUNS = 40


class TooSlow(ExportError):
    """A variant that is slower than float32 is good for nothing."""


def speed(artifact: Artifact, variant: Artifact) -> Speed:
    """Time both on one image of the size that the network was trained at.

    Raises:
        ExportError: a runtime does not take its graph.
    """
    sessions = [open_artifact(each, threads=1) for each in (artifact, variant)]
    shape = (1, artifact.card.input.height, artifact.card.input.width, artifact.card.input.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    seconds: list[list[float]] = [[], []]
    for turn in range(1 + RUNS):
        for place in in_turn(len(sessions), turn):
            started = time.perf_counter()
            sessions[place].run((artifact.card.answer.tensor,), {IMAGE: pixels})
            if turn:  # the first is for what happens only once
                seconds[place].append(time.perf_counter() - started)
    return Speed(
        device=machine()["processor"],
        reference=median(seconds[0]),
        variant=median(seconds[1]),
        runs=RUNS,
    )


def check_faster(found: Speed, name: str) -> None:
    """Refuse a variant that costs accuracy for nothing.

    Raises:
        TooSlow: it is not faster than float32.
    """
    if not found.ratio > 1:
        raise TooSlow(
            f"the variant {name} takes {1e3 * found.variant:.2f} ms an image on one thread of "
            f"{found.device}, float32 {1e3 * found.reference:.2f}: it would cost accuracy for nothing; set "
            "keep_slower to have it all the same"
        )
