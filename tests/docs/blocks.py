"""The code blocks of README and docs, each with its language."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
# what a block may be: run or parsed (sh, python), written to a file (one with a title), read by a checker of
# its own, or shown only (text)
LANGUAGES = frozenset({"sh", "python", "cpp", "json", "text", "toml", "pbtxt", "promql", "yaml"})
_FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>[a-z]*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^(?P=indent)```$',
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, what it is written in, and the file that it is, where it is one."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in its order."""
    content = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(content):
        indent = found["indent"]
        text = "".join(line.removeprefix(indent) for line in found["text"].splitlines(keepends=True))
        yield Block(page, content.count("\n", 0, found.start()) + 1, found["language"], found["title"], text)


def without_blocks(content: str) -> str:
    """A page's text alone."""
    return _FENCE.sub("", content)


def blocks(*languages: str) -> list[Block]:
    """The blocks of all pages in these languages."""
    return [block for page in PAGES for block in blocks_of(page) if block.language in languages]
