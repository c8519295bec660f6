"""What is asked of a model, and how its numbers become results: one class per kind of answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from regard.contract.answers.classes import Classes
from regard.contract.answers.kind import AnswerKind
from regard.contract.answers.label_map import LabelMap
from regard.contract.card import Card
from regard.contract.names import ACTIVATION_MAP
from regard.contract.results import Classification, Segmentation
from regard.errors import InvalidInput
from regard.serving.protocol.wire import Array, Outputs

R = TypeVar("R")
A = TypeVar("A", bound=AnswerKind)
Size = tuple[int, int]  # height and width of an image as it was given, upright
METHODS = {Classes.task: "classify", LabelMap.task: "segment"}  # of the client


class Task(Protocol[R]):
    """What is asked of the model of a Card: an answer of this kind."""

    @property
    def card(self) -> Card: ...
    @property
    def answer(self) -> AnswerKind: ...
    @property
    def extras(self) -> tuple[str, ...]:
        """Outputs beside the answer that are asked for where the model has them."""
        ...

    def results(self, outputs: Outputs, sizes: Sequence[Size]) -> list[R]: ...


class Classify:
    """Probabilities (B, K) to the top_k likeliest classes of each image.

    threshold: of every label, in place of the Card's.
    heat: with the activation maps (B, height, width), where the model gives them.

    Raises:
        InvalidInput: the model does not classify; top_k is not positive; a threshold that cannot be.
    """

    def __init__(self, card: Card, top_k: int, *, threshold: float | None = None, heat: bool = False) -> None:
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

    def __init__(self, card: Card) -> None:
        self.card = card
        self.answer = _answer(card, LabelMap)
        self.extras = ()

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


def _answer(card: Card, kind: type[A]) -> A:
    if not isinstance(card.answer, kind):
        raise InvalidInput(
            f"{card.name!r} is a model for {card.task}: call {METHODS[card.task]}(), not "
            f"{METHODS[kind.task]}()"
        )
    return card.answer


def _checked(card: Card, outputs: Outputs, count: int) -> Array:
    tensor = outputs[card.answer.tensor]
    fault = card.answer.fault(tensor)
    if fault is not None:
        raise InvalidInput(
            f"the Card of {card.name!r} {fault}: export it again with the Card of its own weights"
        )
    if len(tensor) != count:
        raise InvalidInput(
            f"model {card.name!r} gave {len(tensor)} answers to {count} images; its graph mixes up the batch"
        )
    return tensor
