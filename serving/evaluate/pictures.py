"""Pictures of an evaluation: the confusion matrix, and the images that were answered worst."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regard.contract.answers import LabelMap
from regard.contract.answers.kind import AnswerKind
from regard.serving.evaluate.canvas import (
    COLUMNS,
    answer_over,
    answer_words,
    empty_figure,
    pixels_of,
    short,
    show,
    truth_over,
    truth_words,
    write_png,
)
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.metrics.metrics import Confusion
from regard.serving.evaluate.worst import Kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12  # of the worst images
MOST_NUMBERS = 20  # labels up to which a cell has its number


def draw(evaluation: Evaluation, worst: Sequence[Kept], folder: Path) -> list[Path]:
    """Write `confusion.png`, where labels exclude each other, and `worst.png` into a folder.

    Raises:
        InvalidInput: a file cannot be written.
        ModuleNotFoundError: matplotlib is missing.
    """
    title = f"{evaluation.subject.name} on {evaluation.data.found_in}"
    figures = {"worst.png": worst_figure(worst, evaluation.subject.card.answer, title)}
    if evaluation.figures.confusion is not None:
        figures["confusion.png"] = confusion_figure(evaluation.figures.confusion, title)
    return [write_png(figures[name], folder / name) for name in sorted(figures)]


def confusion_figure(confusion: Confusion, title: str) -> "Figure":
    """A row for each true label, as fractions of it."""
    rows, columns = len(confusion.rows), len(confusion.columns)
    named = 0.09 * max(len(short(label)) for label in confusion.columns)  # inches
    figure = empty_figure((2.5 + named + 0.45 * min(columns, 40), 2 + named + 0.4 * min(rows, 40)), title)
    axes = figure.add_subplot()
    support = confusion.counts.sum(1, keepdims=True)
    fractions = confusion.counts / np.maximum(support, 1)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    if max(rows, columns) <= MOST_NUMBERS:
        for (row, column), fraction in np.ndenumerate(fractions):
            if confusion.counts[row, column]:
                colour = "white" if fraction > 0.5 else "black"
                axes.text(column, row, f"{fraction:.2f}", ha="center", va="center", color=colour, fontsize=7)
    if max(rows, columns) <= 2 * MOST_NUMBERS:
        axes.set_xticks(
            range(columns), [short(label) for label in confusion.columns], rotation=60, ha="right"
        )
        axes.set_yticks(range(rows), [short(label) for label in confusion.rows])
        for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            tick.set_parse_math(False)
    axes.set(xlabel="answer", ylabel="truth")
    return figure


def worst_figure(worst: Sequence[Kept], answer: AnswerKind, title: str) -> "Figure":
    """Classified images under what they are and what was answered; segmented ones in a row with the answer
    and the truth laid over them.
    """
    if isinstance(answer, LabelMap):
        figure = empty_figure((9, 0.6 + 2.5 * len(worst)), f"{title}: image, answer, truth")
        for row, kept in enumerate(worst):
            image = kept.image
            pictures = [pixels_of(image), answer_over(image, kept.result), truth_over(image, answer)]
            for column, picture in enumerate(pictures):
                axes = figure.add_subplot(len(worst), len(pictures), row * len(pictures) + column + 1)
                show(axes, picture, _title(kept) if column == 0 else "")
        return figure
    rows = -(-len(worst) // COLUMNS)
    figure = empty_figure((2.6 * COLUMNS, 0.6 + 2.9 * rows), title)
    for place, kept in enumerate(worst):
        show(figure.add_subplot(rows, COLUMNS, place + 1), pixels_of(kept.image), _title(kept))
    return figure


def _title(kept: Kept) -> str:
    facts = kept.judged.facts
    if "mean_iou" in facts:
        return f"{short(kept.image.name)}\nmean IoU {facts['mean_iou']:.3f}"
    name, true, said = map(short, (kept.image.name, truth_words(kept.judged), answer_words(kept.judged)))
    return f"{name}\nis {true}\nanswer {said}"
