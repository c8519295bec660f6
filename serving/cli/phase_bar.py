"""How far something with several phases is, on stderr: a bar in a terminal, elsewhere one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from regard.serving.cli.console import err
from regard.serving.cli.stages import say


@contextmanager
def phase_bar(doing: str) -> Iterator[Callable[[str, float], None]]:
    """Yield what takes the phase and the fraction that is done, 0 to 1."""
    if not err.is_terminal or err.is_dumb_terminal:
        say(doing)
        yield lambda phase, fraction: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(doing, total=1, phase="")
        yield lambda phase, fraction: bar.update(task, completed=fraction, phase=phase)
