"""A model that is replaced under load."""

import time

from tests.faults.models import BIAS, LARGEST, is_largest, pixels, png
from tests.faults.scene import PATIENCE, Scene
from tests.faults.stack import Stack

from regard.serving.repository import add

# tried but for a moment, and not by its speed, since others use the processors
QUICK = (
    *("--slo", "p95=50x,errors=0%,agreement=0%,memory=1000MB", "--least-seconds", "1"),
    *("--least-requests", "40", "--mirror-seconds", "0.5", "--watch-seconds", "1", "--clients", "2"),
)


def hot_swap(scene: Scene) -> None:
    """A new version is added: either answers until both endpoints have it, then the new one alone."""
    scene.biases = (0, BIAS)
    scene.mark("version 2 is added")
    add(scene.artifacts["biased"], scene.folder / "repository", name=LARGEST)
    image = pixels(9, 48, 64)
    both = (image, png(image))  # a version comes to one endpoint after the other
    end = time.monotonic() + PATIENCE
    with scene.server.client("grpc") as client:
        while not all(is_largest(client.segment(LARGEST, given), image, (BIAS,)) for given in both):
            if time.monotonic() > end:
                scene.faults.append(f"version 2 did not answer within {PATIENCE:g} s")
                return
            time.sleep(0.05)
    scene.settle()  # what the old version took is answered
    scene.biases = (BIAS,)
    scene.mark("version 2 alone may answer")
    scene.settle()


def rollout(scene: Scene) -> None:
    """`regard deploy` of a new version, then back: either answers in between, the right one alone after."""
    assert isinstance(scene.server, Stack)
    for label, options, before, after in (
        ("regard deploy", (scene.artifacts["biased"].folder, "--name", LARGEST, *QUICK), 0, BIAS),
        ("regard deploy --rollback", ("--rollback",), BIAS, 0),
    ):
        scene.biases = (before, after)
        scene.mark(label)
        done = scene.server.deploy(*options)
        if done.returncode:
            scene.faults.append(f"{label} ended with {done.returncode}: {done.stderr[-500:]}")
            return
        scene.settle()  # what the old version took is answered
        scene.biases = (after,)
        scene.mark(f"version {2 if after else 1} alone may answer")
        scene.settle()
    scene.server.deploy("--retire")
    scene.mark("the other colour is freed")
