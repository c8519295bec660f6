"""Judging a model: each image to its answer, each answer against the truth."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.metrics import metrics_of
from regard.serving.evaluate.metrics.metrics import Judged, Result
from regard.serving.evaluate.subject import Subject

Watch = Callable[[LabelledImage, Result, Judged], None]


def evaluate(
    subject: Subject,
    data: Data,
    *,
    ignore_index: int | None = None,
    watch: Watch = lambda image, result, judged: None,
) -> Evaluation:
    """Ask a model for every image, and add up how well it answers. Neither images nor answers are kept.

    Args:
        subject: the model.
        data: as of `find_data` for the model's Card.
        ignore_index: of pixels without a label, in place of the Card's.
        watch: told of every image as it is judged.

    Raises:
        InvalidInput: an image or its label map cannot be read or do not fit; `ignore_index` is a label, or
            for a classifier.
        RegardError: the model does not answer.
    """
    if ignore_index is not None:
        check_ignored(ignore_index, subject)
    metrics = metrics_of(subject.card, ignore_index=ignore_index)
    each: list[Judged] = []
    started = time.perf_counter()
    for image, result in zip(data.images, subject.answers(_sent(data)), strict=True):
        judged = metrics.add(image, result)
        each.append(judged)
        watch(image, result, judged)
    return Evaluation(subject, data, metrics.figures(), time.perf_counter() - started, each)


def _sent(data: Data) -> Iterator[Path | Pixels]:
    for image in data.images:
        yield image.image


def check_ignored(ignore_index: int, subject: Subject) -> None:
    """Refuse to leave out what the model answers.

    Raises:
        InvalidInput: it classifies whole images, or the number is a label's.
    """
    labels = subject.card.answer.labels
    if subject.card.task != "segmentation":
        raise InvalidInput(f"{subject.name} labels whole images; ignore_index is for label maps of pixels")
    if 0 <= ignore_index < len(labels):
        raise InvalidInput(f"ignore_index {ignore_index} is the label {labels[ignore_index]!r}")
