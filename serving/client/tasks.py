"""What is asked of a model, and how its numbers become results: one class per kind of answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from regard.contract import answers
from regard.contract.answers.classes import Classes
from regard.contract.answers.image import ImageAnswer
from regard.contract.answers.kind import AnswerKind
from regard.contract.answers.label_map import LabelMap
from regard.contract.answers.points import Points
from regard.contract.card import Card
from regard.contract.names import ACTIVATION_MAP, ALIGNMENT, LOG_PROBABILITIES
from regard.contract.names import Task as Name
from regard.contract.results import Classification, Pose, Reconstruction, Segmentation, Text
from regard.errors import InvalidInput
from regard.serving.client.batches import Size
from regard.serving.protocol.wire import Array, Outputs

R_co = TypeVar("R_co", covariant=True)
A = TypeVar("A", bound=AnswerKind)
TOP_K = 5
METHODS: dict[Name, str] = {  # of the client
    "classification": "classify",
    "segmentation": "segment",
    "captioning": "caption",
    "translation": "translate",
    "question_answering": "answer",
    "pose": "pose",
    "reconstruction": "ask",
}


class Task(Protocol[R_co]):
    """What is asked of the model of a Card: an answer of this kind."""

    @property
    def card(self) -> Card: ...
    @property
    def answer(self) -> AnswerKind: ...
    @property
    def extras(self) -> tuple[str, ...]:
        """Outputs beside the answer that are asked for where the model has them."""
        ...

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> Sequence[R_co]: ...


class Classify:
    """Probabilities (B, K) to the top_k likeliest classes of each question.

    threshold: of every label, in place of the Card's.
    heat: with the activation maps (B, height, width), where the model gives them.

    Raises:
        InvalidInput: the model does not classify; top_k is not positive; a threshold that cannot be.
    """

    def __init__(
        self, card: Card, top_k: int = TOP_K, *, threshold: float | None = None, heat: bool = False
    ) -> None:
        if top_k < 1:
            raise InvalidInput(f"top_k must be 1 or more, got {top_k}")
        self.card = card
        answer = _answer(card, Classes)
        self.answer = answer if threshold is None else answer.at_threshold(threshold)
        self.extras = (ACTIVATION_MAP,) if heat else ()
        self.top_k = top_k

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> list[Classification]:
        """One result per row.

        Raises:
            InvalidInput: the answer is not what the Card says, or holds NaN or infinity.
        """
        tensor = _checked(self.card, outputs, len(sizes))
        results = [self.answer.result(row, top_k=self.top_k) for row in tensor]
        if ACTIVATION_MAP not in outputs:
            return results
        heat_map = self.card.input.heat_map
        return [
            replace(result, heat=heat_map(values, size))
            for result, values, size in zip(results, outputs[ACTIVATION_MAP], sizes, strict=True)
        ]


class Segment:
    """Label maps (B, H, W) of what the network saw, to one segmentation per image, of the image's own size.

    Raises:
        InvalidInput: the model does not segment.
    """

    extras = ()

    def __init__(self, card: Card) -> None:
        self.card = card
        self.answer = _answer(card, LabelMap)

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> list[Segmentation]:
        """One result per map.

        Raises:
            InvalidInput: the answer is not what the Card says.
        """
        tensor = _checked(self.card, outputs, len(sizes))
        place, unseen = self.card.input.place, self.answer.unseen
        return [
            self.answer.result(place(label_map, size, unseen=unseen))
            for label_map, size in zip(tensor, sizes, strict=True)
        ]


class Say:
    """Words by number (B, longest), with the log-probability of each, to one text per question.

    alignment: with what each word attends to, where the model gives it.

    Raises:
        InvalidInput: the model does not answer in words.
    """

    def __init__(self, card: Card, *, alignment: bool = False) -> None:
        self.card = card
        self.answer = _answer(card, answers.Sequence)
        self.extras = (LOG_PROBABILITIES, ALIGNMENT) if alignment else (LOG_PROBABILITIES,)

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> list[Text]:
        """One text per row.

        Raises:
            InvalidInput: the answer is not what the Card says.
        """
        tokens = _checked(self.card, outputs, len(sizes))
        alignments = outputs.get(ALIGNMENT, [None] * len(sizes))
        rows = zip(tokens, outputs[LOG_PROBABILITIES], alignments, sizes, strict=True)
        return [self._text(*row) for row in rows]

    def _text(self, tokens: Array, scores: Array, alignment: Array | None, given: Size) -> Text:
        pixels = self.card.pixels
        if alignment is None or pixels is None:
            return self.answer.result(tokens, scores, alignment)
        seen = given if pixels.dynamic_size else (pixels.height, pixels.width)
        return self.answer.result(tokens, scores, alignment, size=seen, box=pixels.box(given))


class Point:
    """Points (B, names, 3) to one pose per image, in the image's own pixels.

    Raises:
        InvalidInput: the model does not answer points.
    """

    extras = ()

    def __init__(self, card: Card) -> None:
        self.card = card
        self.answer = _answer(card, Points)

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> list[Pose]:
        """One pose per row.

        Raises:
            InvalidInput: the answer is not what the Card says.
        """
        tensor, box = _checked(self.card, outputs, len(sizes)), self.card.input.box
        return [
            self.answer.result(points, size, box=box(size))
            for points, size in zip(tensor, sizes, strict=True)
        ]


class Draw:
    """Images (B, height, width, channels) of what the network saw, one reconstruction per image.

    Raises:
        InvalidInput: the model does not answer an image.
    """

    extras = ()

    def __init__(self, card: Card) -> None:
        self.card = card
        self.answer = _answer(card, ImageAnswer)

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> list[Reconstruction]:
        """One image per row.

        Raises:
            InvalidInput: the answer is not what the Card says.
        """
        return [*map(self.answer.result, _checked(self.card, outputs, len(sizes)))]


TASKS: dict[type[AnswerKind], Callable[..., Task[Any]]] = {
    Classes: Classify,
    LabelMap: Segment,
    answers.Sequence: Say,
    Points: Point,
    ImageAnswer: Draw,
}
OPTIONS: dict[Any, tuple[str, ...]] = {Classify: ("top_k", "threshold", "heat"), Say: ("alignment",)}


def task_for(card: Card, *, only: Name | None = None, **options: Any) -> Task[Any]:
    """What the model of a Card is asked, by the kind of its answer.

    only: the task that it must be for.

    Raises:
        InvalidInput: it is for another, or its kind of answer has no such option; as of its class.
    """
    if only is not None and card.task != only:
        raise _other_task(card, METHODS[only])
    kind = TASKS[type(card.answer)]
    for option in options.keys() - {*OPTIONS.get(kind, ())}:
        raise InvalidInput(
            f"{card.name!r} is a model for {card.task}, which has no option {option!r}: leave it out"
        )
    return kind(card, **options)


def _answer(card: Card, kind: type[A]) -> A:
    if not isinstance(card.answer, kind):
        raise _other_task(card, METHODS[kind.task])
    return card.answer


def _other_task(card: Card, called: str) -> InvalidInput:
    return InvalidInput(
        f"{card.name!r} is a model for {card.task}: call {METHODS[card.task]}(), not {called}()"
    )


def _checked(card: Card, outputs: Outputs, count: int) -> Array:
    tensor = outputs[card.answer.tensor]
    fault = card.answer.fault(tensor)
    if fault is not None:
        raise InvalidInput(
            f"the Card of {card.name!r} {fault}: export it again with the Card of its own weights"
        )
    if len(tensor) != count:
        raise InvalidInput(
            f"model {card.name!r} gave {len(tensor)} answers to {count} questions; its graph mixes up the "
            "batch"
        )
    return tensor
