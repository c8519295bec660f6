"""The stages of a command that takes its time, on stderr: a spinner in a terminal, elsewhere a line each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from regard.serving.cli.console import err


@dataclass(frozen=True)
class Stages:
    """Where a command says what it does.

    Attributes:
        begin: a stage begins.
        note: something was found that the user should know; it stays on the terminal.
    """

    begin: Callable[[str], None]
    note: Callable[[str], None]


def say(line: str) -> None:
    """A line on stderr, as it is."""
    err.print(line, markup=False, highlight=False)


@contextmanager
def stages(first: str) -> Iterator[Stages]:
    """Show the first stage and each that is begun inside, with the seconds since the command began."""
    if not err.is_terminal or err.is_dumb_terminal:
        started = time.monotonic()

        def begin(stage: str) -> None:
            say(f"{time.monotonic() - started:7.1f} s  {stage}")

        begin(first)
        yield Stages(begin, say)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(first, total=None)
        yield Stages(lambda stage: progress.update(task, description=stage), say)
