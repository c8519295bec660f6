"""A bar of images that are judged one by one, on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regard.serving.cli.console import err


@contextmanager
def image_bar(total: int) -> Iterator[Callable[[], None]]:
    """Show how many of them are done, in a terminal; what is yielded is called after each."""
    columns = (
        TextColumn("judging"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("judging", total=total, speed="")

        def advance() -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, speed=f"{speed:.0f} images/s" if speed else "")

        yield advance
