"""What a given model's answer is, found out from what it says to real images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from regard.contract.answers import Classes, LabelMap
from regard.contract.card import Card
from regard.errors import InvalidInput
from regard.export.given.model import GivenModel
from regard.export.proof.scores_check import fill_0_to_1, sum_to_one
from regard.export.proof.trial import Shape

Kind = Literal["logits", "probabilities", "labels"]
Answers = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class GivenAnswer:
    """What the model's answer is.

    Attributes:
        kind: of the values.
        shape, dtype: of the first answer that was seen.
        classes_last: scores (B, h, w, K) instead of (B, K, h, w).
        resize: the scores have another size than the image.
    """

    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    classes_last: bool = False
    resize: bool = False


def find_answer(given: GivenModel, card: Card, answers: Answers, shapes: Sequence[Shape]) -> GivenAnswer:
    """What the answers to image batches of these shapes are.

    Raises:
        InvalidInput: nothing that the Card means.
    """
    floating = np.issubdtype(answers[0].dtype, np.floating)
    if floating and not all(np.isfinite(answer).all() for answer in answers):
        raise InvalidInput(
            f"{given.path} answers NaN or infinity to images normalized as the Card says; check its mean and "
            "std"
        )
    wrong = (
        f"the Card of {card.name} means {card.task} in {len(card.answer.labels)} classes, {given.path} "
        f"answers {answers[0].shape} for {shapes[0]}"
    )
    if card.answer.kind == "classes":
        return _of_classes(given, card.answer, answers, wrong)
    if card.answer.kind != "label_map":
        raise InvalidInput(
            f"the Card of {card.name} means {card.task}: only classifiers and segmenters are taken as ONNX "
            "files; export the network itself"
        )
    if floating:
        return _of_scores(given, card.answer, answers, shapes, wrong)
    return _of_labels(given, len(card.answer.labels), answers, shapes, wrong)


def _of_classes(given: GivenModel, answer: Classes, answers: Answers, wrong: str) -> GivenAnswer:
    first, classes = answers[0], answer.scores
    floating = np.issubdtype(first.dtype, np.floating)
    if not floating or first.shape[1:2] != (classes,) or any(length != 1 for length in first.shape[2:]):
        raise InvalidInput(f"{wrong}, not floating-point scores ({len(first)}, {classes})")
    rows = [array.reshape(len(array), classes) for array in answers]
    exclusive = given.last == "Softmax" or (classes > 1 and all(sum_to_one(array) for array in rows))
    if exclusive and answer.activation == "sigmoid":
        raise InvalidInput(
            f"{given.path} answers probabilities that add up to 1, so that its classes exclude each other; "
            "set the Card's activation to 'softmax'"
        )
    single = given.last == "Sigmoid" or (not exclusive and fill_0_to_1(np.concatenate(rows)))
    if single and answer.activation == "softmax":
        raise InvalidInput(
            f"{given.path} answers scores from 0 to 1 that do not add up to 1, as of a sigmoid: classes that "
            "do not exclude each other; set the Card's activation to 'sigmoid'"
        )
    return GivenAnswer("probabilities" if exclusive or single else "logits", first.shape, first.dtype)


def _of_labels(
    given: GivenModel, classes: int, answers: Answers, shapes: Sequence[Shape], wrong: str
) -> GivenAnswer:
    first = answers[0]
    channel = first.ndim == 4 and first.shape[1] == 1
    maps = [answer[:, 0] if channel else answer for answer in answers]
    if any(
        labels.shape != (shape.batch, shape.height, shape.width)
        for labels, shape in zip(maps, shapes, strict=True)
    ):
        raise InvalidInput(f"{wrong}, no label of each pixel")
    if not all(0 <= labels.min() <= labels.max() < classes for labels in maps):
        raise InvalidInput(
            f"{given.path} answers labels from {min(map(np.min, maps))} to {max(map(np.max, maps))}; "
            f"{classes} in the Card"
        )
    return GivenAnswer("labels", first.shape, first.dtype)


def _of_scores(
    given: GivenModel, answer: LabelMap, answers: Answers, shapes: Sequence[Shape], wrong: str
) -> GivenAnswer:
    first = answers[0]
    axes = [
        axis
        for axis in (1, 3)
        if first.ndim == 4 and all(array.shape[axis] == answer.scores for array in answers)
    ]
    if not axes:
        one = first.ndim == 4 and 1 in (first.shape[1], first.shape[3]) and len(answer.labels) == 2
        advice = "; of one score set the Card's activation to 'sigmoid'" if one else ""
        raise InvalidInput(f"{wrong}, no scores of each class and pixel{advice}")
    classes_last = axes == [3]
    sizes = [array.shape[1:3] if classes_last else array.shape[2:] for array in answers]
    resize = any(size != (shape.height, shape.width) for size, shape in zip(sizes, shapes, strict=True))
    single = answer.activation == "sigmoid" and (
        given.last == "Sigmoid" or fill_0_to_1(np.concatenate([array.ravel() for array in answers]))
    )
    kind: Kind = "probabilities" if single else "logits"
    return GivenAnswer(kind, first.shape, first.dtype, classes_last=classes_last, resize=resize)
