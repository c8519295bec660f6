"""Reading the server's log for why something failed."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

# said without a GPU
HARMLESS = re.compile(r"pinned memory|CudaDriverHelper|NVML|DCGM|CUDA memory pool|libcuda", re.IGNORECASE)
MOST = 1 << 20  # bytes that are read of a log, at its end
BOUND = 16 << 20  # bytes, of a log that is kept nowhere else
_LAST_WORDS = re.compile(r"terminate called .+|what\(\): .+|error: .+")
_ERROR = re.compile(r"[EF]\d{4} [\d:.]+ +\d+ \S+:\d+\] +\"?(?P<said>.+?) *\"?")


@dataclass(frozen=True)
class ServerLog:
    """The log of one run: the part of the file from byte `start` on."""

    path: Path
    start: int

    def reason(self) -> str:
        """Why the server ended or does not get ready: its last words, or else the last error it told of."""
        errors = [match["said"] for line in self.lines(self.start) if (match := _ERROR.fullmatch(line))]
        return self._last_words() or (errors[-1] if errors else "its log does not say why")

    def ending(self, code: int) -> str:
        """How the server ended, from its exit status: negative for a signal."""
        if code == -signal.SIGKILL:
            return "was killed, by somebody or by the kernel for want of memory"
        if code >= 0:
            return f"ended with code {code}: {self.reason()}"
        words = self._last_words()
        return f"ended with signal {-code} ({signal.strsignal(-code)})" + (f": {words}" if words else "")

    def refusal(self, model: str, start: int) -> str | None:
        """Why the server could not read a model's folder, said after byte `start`; None if it did not say."""
        told = re.compile(rf"Poll failed for model directory '{re.escape(model)}': (?P<reason>.+?)\"?$")
        found = [match["reason"] for line in self.lines(start) if (match := told.search(line))]
        return found[-1] if found else None

    def notices(self, model: str, start: int) -> tuple[str, ...]:
        """What our backends told of how they compute a model, after byte `start`; each once."""
        told = re.compile(rf"regard: model '{re.escape(model)}' (?P<notice>.+)")
        found = (match["notice"] for line in self._all_lines(start) if (match := told.fullmatch(line)))
        return tuple(dict.fromkeys(found))

    def end(self) -> int:
        """The size of the file so far, in bytes."""
        return self.path.stat().st_size

    def bound(self) -> None:
        """Begin it again when it has BOUND bytes; who writes to it appends."""
        if self.end() > BOUND:
            os.truncate(self.path, 0)

    def lines(self, start: int) -> list[str]:
        """The lines from byte `start` on, without those that every machine without a GPU gets."""
        return [line for line in self._all_lines(start) if not HARMLESS.search(line)]

    def _all_lines(self, start: int) -> list[str]:
        with self.path.open("rb") as stream:
            end = self.end()
            stream.seek(max(start if start <= end else 0, end - MOST))  # it may have begun again
            text = stream.read().decode(errors="replace")
        return [line.strip() for line in text.splitlines()]

    def _last_words(self) -> str:
        return "; ".join(
            dict.fromkeys(line for line in self.lines(self.start) if _LAST_WORDS.fullmatch(line))
        )
