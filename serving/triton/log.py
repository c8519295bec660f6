"""Reading the server's log for why it failed."""

import re
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 12
# said without a GPU
HARMLESS = re.compile(r"pinned memory|CudaDriverHelper|NVML|DCGM|CUDA memory pool|libcuda", re.IGNORECASE)
TRACEBACK = r"\n\nAt:"  # as Triton writes it into one line; our backends' messages stand for themselves
REASONS = (
    re.compile(r"failed to load '(?P<model>[^']+)' version (?P<version>\d+): (?P<reason>.+)"),
    re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.+)"),
)


@dataclass(frozen=True)
class ServerLog:
    """The log of one run: the part of the file from byte `start` on."""

    path: Path
    start: int

    def reason(self) -> str:
        """Which model failed and why; else the last lines."""
        lines = self.lines()
        found = []
        for line in lines:
            for pattern in REASONS:
                match = pattern.search(line)
                if match:
                    reason = (
                        match["reason"]
                        .strip()
                        .rstrip('"')
                        .split(TRACEBACK)[0]
                        .replace("TritonModelException: ", "")
                    )
                    found.append(f"model {match['model']!r}: {reason}")
        return "; ".join(dict.fromkeys(found)) or "the end of its log:\n" + "\n".join(lines[-LAST_LINES:])

    def lines(self) -> list[str]:
        """The lines so far, without those that every machine without a GPU gets."""
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            text = stream.read().decode(errors="replace")
        return [line for line in text.splitlines() if not HARMLESS.search(line)]
