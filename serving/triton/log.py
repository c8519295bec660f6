"""Reading the server's log for why something failed."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

# said without a GPU
HARMLESS = re.compile(r"pinned memory|CudaDriverHelper|NVML|DCGM|CUDA memory pool|libcuda", re.IGNORECASE)
_LAST_WORDS = re.compile(r"terminate called .+|what\(\): .+|Signal \(\d+\) received|error: .+")
_ERROR = re.compile(r"[EF]\d{4} [\d:.]+ +\d+ \S+:\d+\] +\"?(?P<said>.+?) *\"?")


@dataclass(frozen=True)
class ServerLog:
    """The log of one run: the part of the file from byte `start` on."""

    path: Path
    start: int

    def reason(self) -> str:
        """Why the server ended: its last words, or else the last error it told of."""
        lines = [line.strip(" .") for line in self.lines(self.start)]
        last_words = dict.fromkeys(line for line in lines if _LAST_WORDS.fullmatch(line))
        errors = [match["said"] for line in lines if (match := _ERROR.fullmatch(line))]
        return "; ".join(last_words) or (errors[-1] if errors else "its log does not say why")

    def ending(self, code: int) -> str:
        """How the server ended, from its exit status: negative for a signal."""
        if code == -signal.SIGKILL:
            return "was killed, by somebody or by the kernel for want of memory"
        how = f"code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
        return f"ended with {how}: {self.reason()}"

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
