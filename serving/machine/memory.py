"""The memory of this machine."""

from dataclasses import dataclass
from pathlib import Path

MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """Bytes in all, and those that programs could still take."""

    total: int
    available: int


def memory(meminfo: Path = MEMINFO) -> Memory | None:
    """Look at the memory; None where the kernel does not tell. meminfo: its file."""
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = {key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in lines) if value}
    return Memory(kib.get("MemTotal", 0) << 10, kib.get("MemAvailable", 0) << 10)
