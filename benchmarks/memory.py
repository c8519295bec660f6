"""The memory of a server and all its processes."""

from collections.abc import Iterator
from pathlib import Path


def pss(pid: int) -> float:
    """Proportional set size of a process and its descendants, in MB: pages that they share count once."""
    kilobytes = 0
    for member in (pid, *below(pid)):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # ended meanwhile
        kilobytes += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def below(pid: int) -> Iterator[int]:
    """The processes that a process started, and those that they did."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from below(child)
