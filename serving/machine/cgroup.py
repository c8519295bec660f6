"""What a container or a service may use of its machine: limits of control groups, of both versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")
NO_LIMIT = 2**60  # bytes; so many or more are how version 1 says it


@dataclass(frozen=True)
class Limits:
    """processors: that may work at the same time, on average. memory: bytes. None: no limit."""

    processors: float | None = None
    memory: int | None = None


def limits(process: Path = PROCESS) -> Limits:
    """The strictest of this process's group and the groups around it, as far as they can be seen.

    process: its folder below /proc.
    """
    folders = [*_folders(process)]
    times = [time for folder in folders if (time := _processors(folder)) is not None]
    bytes_ = [size for folder in folders if (size := _memory(folder)) is not None]
    return Limits(min(times, default=None), min(bytes_, default=None))


def _folders(process: Path) -> Iterator[Path]:
    """The process's groups and those around them, of every hierarchy that is mounted."""
    groups = [line.split(":", 2)[1:] for line in _read(process / "cgroup").splitlines()]
    for line in _read(process / "mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        root, place = mount.split()[3:5]
        kind, _, options = system.split()[:3]
        for controllers, path in groups:
            # version 2 has one hierarchy, of all controllers, and names none
            if kind == "cgroup2" if controllers == "" else {*controllers.split(",")} <= {*options.split(",")}:
                # inside a container the mount's root is often the group itself
                below = Path(path.removeprefix(root.rstrip("/")).lstrip("/"))
                yield from (Path(place) / each for each in (below, *below.parents))


def _processors(folder: Path) -> float | None:
    both = _read(folder / "cpu.max").split() or [
        _read(folder / "cpu.cfs_quota_us").strip(),
        _read(folder / "cpu.cfs_period_us").strip(),
    ]
    quota, period = both
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None  # else "max", -1


def _memory(folder: Path) -> int | None:
    text = (_read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")).strip()
    return int(text) if text.isdigit() and int(text) < NO_LIMIT else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
