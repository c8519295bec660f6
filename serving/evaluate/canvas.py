"""What the pictures of labelled images are drawn with."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regard.contract.answers import LabelMap
from regard.contract.image_files import read_pixels
from regard.contract.preprocess import Pixels
from regard.contract.results import Segmentation
from regard.contract.whole_file import whole_file
from regard.models.label_files import read_label_map
from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.metrics.metrics import Judged, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4  # of a sheet of classified images
LONGEST = 40  # letters of a title's line


def empty_figure(size: tuple[float, float], title: str) -> "Figure":
    """A figure of so many inches, width first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9, parse_math=False)
    return figure


def show(axes: "Axes", picture: Pixels, title: str) -> None:
    """Draw RGB or grey pixels under a title."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)  # which say nothing of RGB
    axes.set_title(title, fontsize=7, parse_math=False)
    axes.set_axis_off()


def write_png(figure: "Figure", path: Path) -> Path:
    """Write a figure, whole or not at all.

    Raises:
        InvalidInput: it cannot be written.
    """
    with _quiet(), whole_file(path) as draft:
        figure.savefig(draft, format="png", dpi=120)
    return path


def short(text: str) -> str:
    """The text as it fits into a title."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def truth_words(judged: Judged) -> str:
    """The label of a classified image, or those that apply."""
    return _words(judged.facts["truth"])


def answer_words(judged: Judged) -> str:
    """What a classifier answered: a label and its probability, or those that apply."""
    facts = judged.facts
    return f"{facts['label']} {facts['probability']:.0%}" if "label" in facts else _words(facts["labels"])


def pixels_of(image: LabelledImage) -> Pixels:
    """RGB (H, W, 3), or grey (H, W)."""
    return read_pixels(image.image) if isinstance(image.image, Path) else image.image


def answer_over(image: LabelledImage, result: Result) -> Pixels:
    """A segmentation laid over its image."""
    assert isinstance(result, Segmentation)
    return np.asarray(result.overlay(pixels_of(image)))


def truth_over(image: LabelledImage, answer: LabelMap) -> Pixels:
    """The label map laid over its image; what has no label stays clear."""
    assert isinstance(image.truth, Path)
    height, width = pixels_of(image).shape[:2]
    truth = read_label_map(image.truth, (height, width))
    return answer_over(
        image, answer.result(np.where(truth < len(answer.labels), truth, answer.unseen).astype(np.uint8))
    )


def _words(labels: str | Sequence[str]) -> str:
    return labels if isinstance(labels, str) else ", ".join(labels) or "nothing"


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a label in a script the font lacks
        yield
