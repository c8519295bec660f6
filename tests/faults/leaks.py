"""What a server holds: memory, descriptors, shared memory."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from regard.serving.triton.memory import server_memory

SHARED_MEMORY = Path("/dev/shm")
MIB = 2**20


@dataclass(frozen=True)
class Footprint:
    """memory: bytes, of the processes, what they share once. descriptors: open in all of them. regions,
    shared: files in /dev/shm, and their bytes; the script has one of its own.
    """

    memory: int
    descriptors: int
    regions: int
    shared: int

    def growth(self, before: "Footprint", allowed: "Footprint") -> list[str]:
        """What grew by more than is allowed, in words."""
        found = [
            ("memory", (self.memory - before.memory) / MIB, allowed.memory / MIB, "MiB"),
            ("descriptors", self.descriptors - before.descriptors, allowed.descriptors, ""),
            ("regions in /dev/shm", self.regions - before.regions, allowed.regions, ""),
            ("/dev/shm", (self.shared - before.shared) / MIB, allowed.shared / MIB, "MiB"),
        ]
        return [
            f"{what} grew by {grown:g} {unit}".strip() + f", and {most:g} are allowed"
            for what, grown, most, unit in found
            if grown > most
        ]

    def __str__(self) -> str:
        return (
            f"{self.memory / MIB:.0f} MiB, {self.descriptors} descriptors, {self.regions} regions "
            f"({self.shared / MIB:.0f} MiB) in /dev/shm"
        )


def footprint(roots: Iterable[int], family: Iterable[int]) -> Footprint:
    """Of running processes: those that started the others, and all of them."""
    regions = [region.stat().st_blocks * 512 for region in SHARED_MEMORY.glob("*") if region.is_file()]
    return Footprint(
        memory=sum(map(server_memory, roots)),
        descriptors=sum(map(_descriptors, family)),
        regions=len(regions),
        shared=sum(regions),
    )


def _descriptors(pid: int) -> int:
    with suppress(OSError):  # ended meanwhile
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0
