"""The commands of a shell block, one after the other, and how regard's own command line reads them."""

import re
import shlex
from collections.abc import Iterator

import typer.main

from regard.serving.cli.app import app

_CONNECTORS = frozenset({"|", "||", "&&", ";", "&"})


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command: comments gone, lines that end in a backslash joined, pipes taken apart,
    assignments before a command and redirections left out.
    """
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _CONNECTORS:
                words.append(word)
                continue
            if command := _bare(words):
                yield command
            words = []


def _bare(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if word.startswith((">", "<")):
            words = words[:index]
            break
    while words and re.match(r"[A-Za-z_]+=", words[0]):
        words = words[1:]
    return words


def parse(words: list[str]) -> None:
    """Read the words after `regard` as the command line does, down to the verb's own options; nothing runs.

    Raises:
        Exception: click's UsageError, with what is wrong.
    """
    command = typer.main.get_command(app)
    context = None
    name = "regard"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, rest)
