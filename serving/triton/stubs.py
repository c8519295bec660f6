"""The processes that a server's models live in. One that died is neither started again nor missed."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ZOMBIE = "Z"


class Stubs:
    """Of one server. It remembers whose they are, since a dead process no longer says it."""

    def __init__(self) -> None:
        self._models: dict[int, str] = {}

    def dead(self, server: int) -> dict[int, str]:
        """Those that were killed or crashed, each with its model, or "" where it died before it was seen.

        The server collects its children when it unloads them; one that died by itself stays a zombie.
        """
        children = dict(_children(server))
        known = self._models
        self._models = {
            child: known.get(child) or ("" if state == ZOMBIE else _model(child))
            for child, state in children.items()
        }
        return {child: self._models[child] for child, state in children.items() if state == ZOMBIE}


def _model(stub: int) -> str:
    """Its first argument is the file <repository>/<model>/<version>/<file>."""
    with suppress(OSError, ValueError, IndexError):
        return Path(f"/proc/{stub}/cmdline").read_text().split("\0")[1].split("/")[-3]
    return ""  # ended meanwhile, or not started yet


def _children(pid: int) -> Iterator[tuple[int, str]]:
    """The children of a process, each with the letter of its state."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name, which may hold anything) state parent ...
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # ended meanwhile
        if int(parent) == pid:
            yield int(stat.parent.name), state
