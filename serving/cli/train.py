"""`regard train`: run a recipe."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from regard.serving.cli.console import err, out
from regard.serving.cli.options import Json

PACE = 10  # steps that tell how long the others will take

if TYPE_CHECKING:
    from regard.models.training.loop import Progress as TrainingProgress


def train(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe (TOML), or the name of one that comes with regard.")
    ],
    folder: Annotated[
        Path, typer.Option("--out", "-o", help="Where the weights, the Card and the checkpoint go.")
    ] = Path("runs"),
    data: Annotated[
        Path, typer.Option(envvar="REGARD_DATA", help="What the recipe's data folder is below.")
    ] = Path("data"),
    resume: Annotated[
        bool, typer.Option(help="Go on from the last epoch's checkpoint in the output folder.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of PyTorch; its own choice by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a network as a recipe says, and measure it on the split it never saw.

    The recipes that come with regard take minutes on a GPU, hours on a processor; after the first steps it
    says how long this one takes here.

    Example: regard train se_resnet18_fashion_mnist --out runs
    """
    import torch

    from regard.models.training import loop
    from regard.models.training.recipe import find_recipe, recipe_from_file

    parsed = recipe_from_file(find_recipe(recipe))
    if threads is not None:
        torch.set_num_threads(threads)
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bar:
        task = bar.add_task(
            "train", total=None, epoch=0, epochs=parsed.optimization.epochs, loss=float("nan")
        )

        expected = ExpectedTime()

        def report(progress: "TrainingProgress") -> None:
            done, total = progress.epoch * progress.steps + progress.step, progress.epochs * progress.steps
            seconds = expected.after(done, total)
            if seconds is not None:
                bar.console.print(f"{total - done} steps to go, about {in_words(seconds)}")
            bar.update(task, completed=done, total=total, epoch=progress.epoch + 1, loss=progress.loss)
            if progress.metrics is not None:
                bar.console.print(f"epoch {progress.epoch + 1}: {_describe(progress.metrics)}")

        card = loop.train(parsed, data, folder, resume=resume, report=report)
    if as_json:
        print(card.to_json(), end="")
    else:
        out.print(f"{card.name}: {_describe(card.origin.metrics)} -> {folder / card.name}.safetensors, .json")


class ExpectedTime:
    """The time that is left, estimated once: from the pace of the first steps, the very first left out."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.first: tuple[int, float] | None = None
        self.told = False

    def after(self, done: int, total: int) -> float | None:
        """Seconds left after `done` of `total` steps; None but for the once."""
        now = self.clock()
        if self.first is None:
            self.first = done, now
        start, since = self.first
        if self.told or done - start < PACE:
            return None
        self.told = True
        return (now - since) / (done - start) * (total - done)


def in_words(seconds: float) -> str:
    """A duration to the unit that matters."""
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 100 * 60 else f"{seconds / 3600:.1f} hours"


def _describe(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
