"""How much memory a server takes, with the processes that its models live in."""

from contextlib import suppress
from pathlib import Path


def server_memory(pid: int) -> int:
    """Proportional set size of a process and its descendants, in bytes: pages that they share count once."""
    return sum(_pss(member) for member in (pid, *descendants(pid)))


def descendants(pid: int) -> set[int]:
    """The processes that a process started, and those that they did."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended meanwhile
            # pid (name, which may hold anything) state parent ...
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return family - {pid}


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # ended meanwhile
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
