"""What is asked of a model, and how its numbers become results: one class per kind of answer."""

from typing import Protocol, TypeVar

from regard.contract.answers.classes import Classes
from regard.contract.answers.kind import AnswerKind
from regard.contract.answers.label_map import LabelMap
from regard.contract.card import Card
from regard.contract.results import Classification, Segmentation
from regard.errors import InvalidInput
from regard.serving.protocol.wire import Array

R = TypeVar("R")
A = TypeVar("A", bound=AnswerKind)
METHODS = {Classes.task: "classify", LabelMap.task: "segment"}  # of the client


class Task(Protocol[R]):
    """What is asked of the model of a Card: an answer of this kind."""

    @property
    def card(self) -> Card: ...
    @property
    def answer(self) -> AnswerKind: ...

    def results(self, tensor: Array) -> list[R]: ...


class Classify:
    """Probabilities (B, K) to the top_k likeliest classes of each image.

    Raises:
        InvalidInput: the model does not classify; top_k is not positive.
    """

    def __init__(self, card: Card, top_k: int) -> None:
        if top_k < 1:
            raise InvalidInput(f"top_k must be 1 or more, got {top_k}")
        self.card = card
        self.answer = _answer(card, Classes)
        self.top_k = top_k

    def results(self, tensor: Array) -> list[Classification]:
        """One result per row.

        Raises:
            InvalidInput: the answer is not what the Card says, or holds NaN or infinity.
        """
        _check(self.card, tensor)
        return [self.answer.result(row, top_k=self.top_k) for row in tensor]


class Segment:
    """Label maps (B, H, W) to one segmentation per image.

    Raises:
        InvalidInput: the model does not segment.
    """

    def __init__(self, card: Card) -> None:
        self.card = card
        self.answer = _answer(card, LabelMap)

    def results(self, tensor: Array) -> list[Segmentation]:
        """One result per map.

        Raises:
            InvalidInput: the answer is not what the Card says.
        """
        _check(self.card, tensor)
        return [self.answer.result(label_map) for label_map in tensor]


def _answer(card: Card, kind: type[A]) -> A:
    if not isinstance(card.answer, kind):
        raise InvalidInput(
            f"{card.name!r} is a model for {card.task}: call {METHODS[card.task]}(), not "
            f"{METHODS[kind.task]}()"
        )
    return card.answer


def _check(card: Card, tensor: Array) -> None:
    fault = card.answer.fault(tensor)
    if fault is not None:
        raise InvalidInput(
            f"the Card of {card.name!r} {fault}: export it again with the Card of its own weights"
        )
