"""The messages that docs/troubleshooting.md quotes are those of the code: the fixed words of each stand, in
their order, in one string of the source.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCES = ("export", "models", "serving", "src/regard")
QUOTED = re.findall(r"\*\*`(.+?)`\*\*", PAGE.read_text(encoding="utf-8"))


@cache
def strings() -> tuple[str, ...]:
    return tuple(
        text for folder in SOURCES for path in (ROOT / folder).rglob("*.py") for text in strings_of(path)
    )


def strings_of(path: Path) -> Iterator[str]:
    """The strings of a file, each {} where a value is put in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "{}"
                for part in node.values
            )


def pattern(message: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, message.split("…"))), re.S)


@pytest.mark.parametrize("message", QUOTED)
def test_each_message_is_one_of_the_code(message: str) -> None:
    said = pattern(message)
    assert any(said.search(text) for text in strings())


def test_the_page_quotes_messages_and_a_made_up_one_is_found() -> None:
    assert len(QUOTED) > 30
    assert not any(pattern("the … is made of cheese").search(text) for text in strings())
