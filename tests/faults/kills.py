"""Processes that are killed, and servers that are started again."""

from tests.faults.scene import Scene


def kill(part: str, scene: Scene) -> None:
    """Kill -9, and wait until all are answered again."""
    scene.mark(f"kill -9 of {part}")
    scene.server.kill(part)
    scene.settle()


def restart(scene: Scene) -> None:
    scene.mark("SIGTERM")
    scene.server.restart()
    scene.mark("started again")
    scene.settle()
