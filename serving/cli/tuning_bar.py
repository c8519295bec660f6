"""How far tuning is, on stderr: a bar in a terminal, elsewhere a line for each setup."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from regard.serving.cli.console import err
from regard.serving.cli.stages import say


@contextmanager
def tuning_bar() -> Iterator[Callable[[float, str, str], None]]:
    """What is yielded is called as each step begins: how much is done, of what, and the step."""
    if not err.is_terminal or err.is_dumb_terminal:
        last = ""

        def line(done: float, what: str, step: str) -> None:
            nonlocal last
            if what != last:
                say(f"{done:4.0%}  {what}")
            last = what

        yield line
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, what, step: bar.update(task, completed=done, description=f"{what}: {step}")
