"""An evaluation for a terminal."""

import math
from typing import Any

import numpy as np
from rich.console import Group, RenderableType

from regard.serving.cli.tables import Table
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.metrics.metrics import Confusion

SHOWN = 5  # confusions, and images


def tables(evaluation: Evaluation) -> RenderableType:
    """Figures, a row for each label, what is taken for what, and the worst images."""
    parts: list[RenderableType] = [_metrics(evaluation), "", _labels(evaluation)]
    if evaluation.figures.confusion is not None:
        parts += ["", _confusions(evaluation.figures.confusion)]
    return Group(*parts, "", _worst(evaluation))


def _metrics(evaluation: Evaluation) -> Table:
    sample = evaluation.data.sample or f"{len(evaluation.each):,} images"
    table = Table(
        *("figure", "value"),
        whole=("figure",),
        figures=("value",),
        title=f"{evaluation.subject.name} ({evaluation.subject.way}) on {evaluation.data.found_in}: {sample}",
        caption=f"{evaluation.images_per_second:,.1f} images/s, decoded and judged",
    )
    for name, value in evaluation.figures.metrics.items():
        table.add(words(name), shown(value))
    return table


def _labels(evaluation: Evaluation) -> Table:
    rows = evaluation.figures.labels
    names = [name for name in rows[0] if name != "label"]
    table = Table(
        *("label", *map(words, names)),
        whole=("label",),
        figures=[*map(words, names)],
    )
    for row in rows:
        table.add(row["label"], *(shown(row[name]) for name in names))
    return table


def _confusions(confusion: Confusion) -> Table:
    """The most frequent wrong answers."""
    wrong = confusion.counts.copy()
    np.fill_diagonal(wrong, 0)
    support = confusion.counts.sum(1)
    table = Table(
        *("truth", "taken for", "times", "of its label"),
        whole=("truth", "taken for"),
        figures=("times", "of its label"),
    )
    for place in np.argsort(-wrong, axis=None, kind="stable")[:SHOWN].tolist():
        row, column = divmod(place, wrong.shape[1])
        if count := int(wrong[row, column]):
            share = f"{count / support[row]:.1%}"
            table.add(confusion.rows[row], confusion.columns[column], f"{count:,}", share)
    return table


def _worst(evaluation: Evaluation) -> Table:
    table = Table("worst images", "score", whole=("worst images",), figures=("score",))
    for judged in evaluation.worst(SHOWN):
        table.add(judged.image, shown(judged.score))
    return table


def words(name: str) -> str:
    """A figure's name as it is read."""
    return name.replace("_", " ").replace("iou", "IoU")


def shown(value: Any) -> str:
    """A count, or a figure of four decimals."""
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:.4f}"
