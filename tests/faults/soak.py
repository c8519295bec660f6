"""Load for long, and memory that stays as it is."""

import time
from statistics import median

from tests.faults.leaks import MIB
from tests.faults.scene import Scene

SAMPLES = 30


def flat(samples: list[int], steady: float) -> str | None:
    """What is wrong with samples of memory, in bytes: the median of the last third against the middle one's,
    by more than this share. The first third may grow: it fills pools.
    """
    third = len(samples) // 3
    middle, last = median(samples[third : 2 * third]), median(samples[2 * third :])
    allowed = steady * middle
    if last - middle <= allowed:
        return None
    return f"memory grew from {middle / MIB:.0f} to {last / MIB:.0f} MiB, and {allowed / MIB:.0f} are allowed"


def soak(scene: Scene) -> None:
    """The standing load alone."""
    scene.mark("begins")
    samples, seconds = [], scene.setting.soak
    for _ in range(SAMPLES):
        time.sleep(seconds / SAMPLES)
        samples.append(scene.footprint().memory)
    wrong = flat(samples, scene.setting.steady)
    third = len(samples) // 3
    told = ", ".join(f"{median(samples[start : start + third]) / MIB:.0f}" for start in (0, third, 2 * third))
    scene.notes.append(f"memory in the thirds of {seconds:g} s: {told} MiB")
    if wrong:
        scene.faults.append(wrong)
    scene.settle()
