"""Shared memory and disks that are full."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.leaks import SHARED_MEMORY
from tests.faults.models import LARGEST
from tests.faults.scene import Scene
from tests.faults.stack import Stack
from tests.faults.versions import QUICK

from regard.errors import RegardError
from regard.serving.repository import add

STEP = 2**16  # bytes
DISK = "DISK"  # in place of a temporary name


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No room is left on the file system of a folder."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(STEP))
            except OSError:
                pass
        yield
    finally:
        filler.unlink()


def shared_memory(scene: Scene) -> None:
    """Full for a while; then a model's process is killed while it is, so that no server can start."""
    with full(SHARED_MEMORY):
        scene.mark("/dev/shm is full")
        scene.lasts()
        scene.server.kill("a model's process")
        scene.mark("kill -9 of a model's process")
        time.sleep(2)
    scene.mark("room again")
    scene.settle()


def disk(scene: Scene) -> None:
    """A new version of a model is added to a full disk: refused, and nothing of it is served or left; then
    with room.
    """
    repository = scene.folder / "repository"
    before = _files(repository)
    with full(scene.folder):
        scene.mark("the disk is full")
        try:
            add(scene.artifacts["biased"], repository, name=LARGEST)
            scene.faults.append("a version was added to a full disk")
        except (RegardError, OSError) as error:
            scene.notes.append(f"refused: {error}".replace(str(scene.folder.parent), DISK))
        scene.lasts()
        if _files(repository) != before:
            scene.faults.append(f"left on the disk: {sorted(_files(repository) ^ before)}")
    scene.mark("room again")
    scene.settle()


def disk_of_a_deploy(scene: Scene) -> None:
    """`regard deploy` on a full disk: refused, nothing of it stays, and the old version serves on."""
    assert isinstance(scene.server, Stack)
    deployment = scene.server.stack.deployment
    before = _files(deployment)
    with full(scene.folder):
        scene.mark("the disk is full; regard deploy")
        done = scene.server.deploy(scene.artifacts["biased"].folder, "--name", LARGEST, *QUICK)
        last = done.stderr.strip().splitlines()[-1:]
        scene.notes.append(f"exit code {done.returncode}: {last}".replace(str(scene.folder.parent), DISK))
        if done.returncode != 1 or "Traceback" in done.stderr:
            scene.faults.append(f"regard deploy ended with {done.returncode}: {done.stderr[-500:]}")
        scene.lasts()
    left = {file for file in _files(deployment) - before if not file.startswith(("history", "routing"))}
    if left:
        scene.faults.append(f"left on the disk: {sorted(left)}")
    scene.mark("room again")
    scene.settle()


def _files(folder: Path) -> set[str]:
    return {
        os.path.relpath(Path(base) / file, folder) for base, _, files in os.walk(folder) for file in files
    }
