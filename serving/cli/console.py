"""Where commands write: results to stdout, progress and errors to stderr.

Names of files, labels and models come from others: what of them would move a terminal's cursor, colour it or
turn its text around is shown as a sign. JSON is printed apart, and escapes them itself.
"""

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# control characters but line feed and tab, marks of direction, and what is no UTF-8 in a file's name
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with a sign for each character that a terminal would obey: its picture, such as ␛, or �."""
    return HIDDEN.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 0x20 else "\ufffd", text)


class VisibleConsole(Console):
    """A console that prints the characters of texts and does not obey them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed, whatever it stands in."""
        if isinstance(renderable, Text) and HIDDEN.search(renderable.plain):
            renderable = renderable.copy()
            renderable.plain = visible(renderable.plain)
        return super().render(visible(renderable) if isinstance(renderable, str) else renderable, options)


out = VisibleConsole(soft_wrap=True)
err = VisibleConsole(stderr=True, soft_wrap=True)
