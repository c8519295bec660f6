"""A contact sheet of the images on which models differ most."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regard.contract.answers import LabelMap
from regard.contract.preprocess import Pixels
from regard.contract.results import Segmentation
from regard.serving.evaluate.canvas import (
    COLUMNS,
    answer_words,
    empty_figure,
    pixels_of,
    short,
    show,
    truth_over,
    truth_words,
    write_png,
)
from regard.serving.evaluate.comparison import Comparison
from regard.serving.evaluate.metrics.metrics import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12
FILE = "differing.png"


def draw_differing(comparison: Comparison, folder: Path) -> Path | None:
    """Write `differing.png` into a folder; None, and nothing, where all answers are alike. Models of label
    maps are asked for these images once more, since answers are not kept.

    Raises:
        InvalidInput: the file cannot be written.
        RegardError: a model does not answer.
        ModuleNotFoundError: matplotlib is missing.
    """
    images = comparison.most_differing(SHOWN)
    if not images:
        return None
    answer = comparison.models[0].subject.card.answer
    sheet = (
        _maps(comparison, images, answer) if isinstance(answer, LabelMap) else _classified(comparison, images)
    )
    return write_png(sheet, folder / FILE)


def _classified(comparison: Comparison, images: Sequence[int]) -> "Figure":
    """Each image under its name, its truth, and each model's answer."""
    rows = -(-len(images) // COLUMNS)
    lines = 2 + len(comparison.models)
    figure = empty_figure((2.6 * COLUMNS, 0.8 + (2.3 + 0.16 * lines) * rows), _title(comparison))
    for place, image in enumerate(images):
        said = [model.each[image] for model in comparison.models]
        answers = [f"{number}: {answer_words(judged)}" for number, judged in enumerate(said, start=1)]
        title = [said[0].image, f"is {truth_words(said[0])}", *answers]
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        show(axes, pixels_of(comparison.data.images[image]), "\n".join(map(short, title)))
    return figure


def _maps(comparison: Comparison, images: Sequence[int], answer: LabelMap) -> "Figure":
    """A row for each image: its truth laid over it, and each model's answer where they are not all alike."""
    columns = 1 + len(comparison.models)
    figure = empty_figure((3 * columns, 0.8 + 2.5 * len(images)), _title(comparison))
    for row, place in enumerate(images):
        image = comparison.data.images[place]
        pictures = [(truth_over(image, answer), f"{short(image.name)}\ntruth")]
        results = [model.subject.answer(image.image) for model in comparison.models]
        for number, picture in enumerate(where_they_differ(pixels_of(image), results)):
            model = comparison.models[number]
            said = f"mean IoU {model.each[place].score:.3f}\nagreement {model.agreements[place]:.1%}"
            pictures.append((picture, f"{number + 1}: {said}"))
        for column, (picture, title) in enumerate(pictures, start=1):
            show(figure.add_subplot(len(images), columns, row * columns + column), picture, title)
    return figure


def where_they_differ(pixels: Pixels, results: Sequence[Result]) -> Iterator[Pixels]:
    """Each answer's own colours where not all are alike, and the image, darker, elsewhere."""
    segmentations = [result for result in results if isinstance(result, Segmentation)]
    first, *others = (segmentation.label_map for segmentation in segmentations)
    alike = np.logical_and.reduce([first == other for other in others])[..., None]
    for segmentation in segmentations:
        yield np.where(alike, pixels // 2, np.asarray(segmentation.mask().convert("RGB")))


def _title(comparison: Comparison) -> str:
    names = [f"{number}: {model.subject.name}" for number, model in enumerate(comparison.models, start=1)]
    return "\n".join([f"where models differ on {comparison.data.found_in}", *names])
