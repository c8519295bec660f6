"""Reading the server's log for why something failed."""

import re
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 12
# said without a GPU
HARMLESS = re.compile(r"pinned memory|CudaDriverHelper|NVML|DCGM|CUDA memory pool|libcuda", re.IGNORECASE)


@dataclass(frozen=True)
class ServerLog:
    """The log of one run: the part of the file from byte `start` on."""

    path: Path
    start: int

    def reason(self) -> str:
        """The last lines."""
        return "the end of its log:\n" + "\n".join(self.lines(self.start)[-LAST_LINES:])

    def refusal(self, model: str, start: int) -> str | None:
        """Why the server could not read a model's folder, said after byte `start`; None if it did not say."""
        told = re.compile(rf"Poll failed for model directory '{re.escape(model)}': (?P<reason>.+?)\"?$")
        found = [match["reason"] for line in self.lines(start) if (match := told.search(line))]
        return found[-1] if found else None

    def end(self) -> int:
        """The size of the file so far, in bytes."""
        return self.path.stat().st_size

    def lines(self, start: int) -> list[str]:
        """The lines from byte `start` on, without those that every machine without a GPU gets."""
        with self.path.open("rb") as stream:
            stream.seek(start)
            text = stream.read().decode(errors="replace")
        return [line for line in text.splitlines() if not HARMLESS.search(line)]
