"""Where in a network's own code something happens, for messages: the innermost line that no library beneath
it has written.
"""

import linecache
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

BENEATH = (
    *("torch", "numpy", "pydantic", "functools", "contextlib"),
    *("regard.models.explain", "regard.models.load", "regard.models.padding"),
)
WATCHING = ("regard.export.activation", "regard.export.low_precision", "regard.export.graph.baked_sizes")
LONGEST = 80  # of a line that a message quotes
CALLING = ("regard.contract", "regard.export", "regard.serving")  # what stands around a network


@dataclass(frozen=True)
class Place:
    """A line of code."""

    file: Path
    line: int

    @property
    def code(self) -> str:
        """What it says, without its indentation; "" where the file cannot be read."""
        return linecache.getline(str(self.file), self.line).strip()

    def __str__(self) -> str:
        code = self.code if len(self.code) <= LONGEST else f"{self.code[:LONGEST]} ..."
        return f"{self.file}:{self.line}" + (f" `{code}`" if code else "")


def place_of(error: BaseException) -> Place | None:
    """Where an error arose; None where no own code was running."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not _of(frame, BENEATH + CALLING) and not _generated(frame):
            found = Place(Path(frame.f_code.co_filename), line)
    return found


def at_place(error: BaseException) -> str:
    """An error in words, with the line where it arose."""
    place, words = place_of(error), str(error).strip() or type(error).__name__
    return words if place is None else f"{words} (at {place})"


def place_here(*, directly: bool = False) -> Place | None:
    """The line of own code that is running; None where there is none or, with `directly`, where it has called
    a library that is running.
    """
    for frame, line in traceback.walk_stack(sys._getframe(1)):
        if _of(frame, (*WATCHING, "torch.fx.experimental")):
            continue
        if _of(frame, CALLING):
            return None
        if not _of(frame, BENEATH) and not _generated(frame):
            return Place(Path(frame.f_code.co_filename), line)
        if directly and _module(frame) != "torch":  # where a size's own operators are
            return None
    return None


def _of(frame: FrameType, modules: tuple[str, ...]) -> bool:
    return f"{_module(frame)}.".startswith(tuple(f"{module}." for module in modules))


def _generated(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
