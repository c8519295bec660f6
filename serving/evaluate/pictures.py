"""Pictures of an evaluation: the confusion matrix, and the images that were answered worst."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regard.contract.answers import LabelMap
from regard.contract.answers.kind import AnswerKind
from regard.contract.image_files import read_pixels
from regard.contract.preprocess import Pixels
from regard.contract.results import Segmentation
from regard.contract.whole_file import whole_file
from regard.models.label_files import read_label_map
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.metrics.metrics import Confusion
from regard.serving.evaluate.worst import Kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 12  # of the worst images
COLUMNS = 4  # of a sheet of classified images
MOST_NUMBERS = 20  # labels up to which a cell has its number
LONGEST = 40  # letters of a title's line


def draw(evaluation: Evaluation, worst: Sequence[Kept], folder: Path) -> list[Path]:
    """Write `confusion.png`, where labels exclude each other, and `worst.png` into a folder.

    Raises:
        InvalidInput: a file cannot be written.
        ModuleNotFoundError: matplotlib is missing.
    """
    title = f"{evaluation.subject.name} on {evaluation.data.found_in}"
    with _quiet():
        figures = {"worst.png": worst_figure(worst, evaluation.subject.card.answer, title)}
        if evaluation.figures.confusion is not None:
            figures["confusion.png"] = confusion_figure(evaluation.figures.confusion, title)
        for name, figure in figures.items():
            with whole_file(folder / name) as draft:
                figure.savefig(draft, format="png", dpi=120)
    return [folder / name for name in sorted(figures)]


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a label in a script the font lacks
        yield


def confusion_figure(confusion: Confusion, title: str) -> "Figure":
    """A row for each true label, as fractions of it."""
    rows, columns = len(confusion.rows), len(confusion.columns)
    named = 0.09 * max(len(_short(label)) for label in confusion.columns)  # inches
    figure = _figure((2.5 + named + 0.45 * min(columns, 40), 2 + named + 0.4 * min(rows, 40)), title)
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
            range(columns), [_short(label) for label in confusion.columns], rotation=60, ha="right"
        )
        axes.set_yticks(range(rows), [_short(label) for label in confusion.rows])
        for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            tick.set_parse_math(False)
    axes.set(xlabel="answer", ylabel="truth")
    return figure


def worst_figure(worst: Sequence[Kept], answer: AnswerKind, title: str) -> "Figure":
    """Classified images under what they are and what was answered; segmented ones in a row with the answer
    and the truth laid over them.
    """
    if isinstance(answer, LabelMap):
        figure = _figure((9, 0.6 + 2.5 * len(worst)), f"{title}: image, answer, truth")
        for row, kept in enumerate(worst):
            pictures = [_image(kept), *_overlays(kept, answer)]
            for column, picture in enumerate(pictures):
                axes = figure.add_subplot(len(worst), len(pictures), row * len(pictures) + column + 1)
                _show(axes, picture, _title(kept) if column == 0 else "")
        return figure
    rows = -(-len(worst) // COLUMNS)
    figure = _figure((2.6 * COLUMNS, 0.6 + 2.9 * rows), title)
    for place, kept in enumerate(worst):
        _show(figure.add_subplot(rows, COLUMNS, place + 1), _image(kept), _title(kept))
    return figure


def _figure(size: tuple[float, float], title: str) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9, parse_math=False)
    return figure


def _show(axes: "Axes", picture: Pixels, title: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)  # which say nothing of RGB
    axes.set_title(title, fontsize=7, parse_math=False)
    axes.set_axis_off()


def _image(kept: Kept) -> Pixels:
    image = kept.image.image
    return read_pixels(image) if isinstance(image, Path) else image


def _overlays(kept: Kept, answer: LabelMap) -> list[Pixels]:
    assert isinstance(kept.result, Segmentation)
    assert isinstance(kept.image.truth, Path)
    pixels = _image(kept)
    height, width = kept.result.label_map.shape
    truth = read_label_map(kept.image.truth, (height, width))
    # what has no label stays clear
    true = answer.result(np.where(truth < len(answer.labels), truth, answer.unseen).astype(np.uint8))
    return [np.asarray(segmentation.overlay(pixels)) for segmentation in (kept.result, true)]


def _title(kept: Kept) -> str:
    facts = kept.judged.facts
    if "mean_iou" in facts:
        return f"{_short(kept.image.name)}\nmean IoU {facts['mean_iou']:.3f}"
    if "label" in facts:
        said = f"{facts['label']} {facts['probability']:.0%}"
        return f"{_short(kept.image.name)}\nis {_short(facts['truth'])}\nanswer {_short(said)}"
    true, said = (", ".join(facts[name]) or "nothing" for name in ("truth", "labels"))
    return f"{_short(kept.image.name)}\nis {_short(true)}\nanswer {_short(said)}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
