"""A bar of images, or of other steps, that are done one by one, on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regard.serving.cli.console import err


@contextmanager
def image_bar(total: int, doing: str = "judging", what: str = "images") -> Iterator[Callable[..., None]]:
    """Show how many of them are done, in a terminal; what is yielded is called after each, or with
    their number after several.

    total: 0 where there are no steps.
    doing: what is done to them, in words.
    what: they are.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(doing, total=total or None, speed="")

        def advance(count: int = 1) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=count, speed=f"{speed:.0f} {what}/s" if speed else "")

        yield advance
