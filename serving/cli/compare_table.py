"""A comparison for a terminal."""

import math

from rich.text import Text

from regard.contract.answers import Classes
from regard.serving.cli.bench_tables import show
from regard.serving.cli.evaluate_tables import shown, words
from regard.serving.cli.tables import Table
from regard.serving.evaluate.bootstrap import RESAMPLES, Difference
from regard.serving.evaluate.comparison import TOLERATED, Compared, Comparison


def table(comparison: Comparison) -> Table:
    """A row for each model, and below them which to take and why."""
    metric = words(comparison.metric)
    load = ["images/s"] if comparison.throughputs else []
    columns = [metric, "difference to the first", "agreement", "ms", *load, "file MB", "memory MB"]
    sample = comparison.data.sample or f"{len(comparison.data.images):,} images"
    table = Table(
        *("model", "run", *columns),
        whole=("model",),
        figures=columns,
        title=f"on {comparison.data.found_in}: {sample}, each answered by all in turn",
        caption=f"{_take(comparison)}\n{_meaning()}",
    )
    for place, model in enumerate(comparison.models):
        table.add(
            Text(model.subject.name, "green" if place == comparison.choice else ""),
            model.subject.way,
            shown(model.figure),
            _difference(comparison.difference(place)) if place else "",
            _agreement(model) if place else "",
            f"{1e3 * model.latency:.2f}",
            *([show(comparison.throughputs[place])] if comparison.throughputs else []),
            _megabytes(model.graph_bytes),
            _megabytes(comparison.memory[place] if comparison.memory else None),
        )
    return table


def _take(comparison: Comparison) -> str:
    models = comparison.models
    rule = f"whose {words(comparison.metric)} is at most {TOLERATED} below the best one's, interval included"
    take = f"take {models[comparison.choice].subject.name}: the fastest of those {rule}"
    unsure = ", ".join(models[place].subject.name for place in comparison.undecided)
    return f"{take}; more images would tell of {unsure}" if unsure else take


def _meaning() -> str:
    return (
        f"[95 %] by {RESAMPLES:,} paired resamples of the images; ms: median of one image at a time, decoded "
        "and answered, in this very run; memory: growth of a fresh process; sizes of what is here"
    )


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.1f}"


def _difference(difference: Difference) -> str:
    if math.isnan(difference.value):
        return "-"
    return f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _agreement(model: Compared) -> str:
    """The mean, and where an image has several decisions its least."""
    answer = model.subject.card.answer
    one_label = isinstance(answer, Classes) and answer.activation == "softmax"
    return f"{model.agreement:.2%}" + ("" if one_label else f" (least {min(model.agreements):.2%})")
