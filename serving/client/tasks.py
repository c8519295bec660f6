"""What is asked of a model, and how its numbers become results: one class per task."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from regard.contract.card import Card
from regard.contract.names import LABEL_MAP, PROBABILITIES
from regard.contract.palette import default_palette
from regard.errors import InvalidInput
from regard.serving.client.batches import Batch
from regard.serving.client.results import Classification, Segmentation
from regard.serving.protocol.wire import Array

R = TypeVar("R")


class Task(Protocol[R]):
    """output: the name of the tensor to ask for."""

    @property
    def output(self) -> str: ...
    @property
    def card(self) -> Card: ...

    def bytes_of(self, batch: Batch) -> int: ...
    def results(self, tensor: Array) -> list[R]: ...


@dataclass(frozen=True)
class Classify:
    """Probabilities (B, K) to the top_k likeliest classes of each image.

    Raises:
        InvalidInput: the model segments; top_k is not positive.
    """

    card: Card
    top_k: int
    output: str = PROBABILITIES

    def __post_init__(self) -> None:
        _check_task(self.card, "classification", "classify")
        if self.top_k < 1:
            raise InvalidInput(f"top_k must be 1 or more, got {self.top_k}")

    def bytes_of(self, batch: Batch) -> int:
        """How large the answer is."""
        return len(batch.items) * len(self.card.output.labels) * np.dtype(np.float32).itemsize

    def results(self, tensor: Array) -> list[Classification]:
        """One result per row.

        Raises:
            InvalidInput: the Card has more or fewer labels than the answer has classes.
        """
        labels = self.card.output.labels
        if tensor.ndim != 2 or tensor.shape[1] != len(labels):
            raise InvalidInput(
                f"the Card of {self.card.name!r} has {len(labels)} labels, but the model answers with shape "
                f"{tensor.shape}: export it again with the Card of its own weights"
            )
        return [self._result(row) for row in tensor]

    def _result(self, row: Array) -> Classification:
        order = np.argsort(-row, kind="stable")[: self.top_k].tolist()
        top = tuple((self.card.output.labels[index], float(row[index])) for index in order)
        return Classification(*top[0], top)


@dataclass(frozen=True)
class Segment:
    """Label maps (B, H, W) to one segmentation per image.

    Raises:
        InvalidInput: the model classifies.
    """

    card: Card
    output: str = LABEL_MAP

    def __post_init__(self) -> None:
        _check_task(self.card, "segmentation", "segment")

    def bytes_of(self, batch: Batch) -> int:
        """How large the answer is."""
        return len(batch.items) * batch.size[0] * batch.size[1]

    def results(self, tensor: Array) -> list[Segmentation]:
        """One result per map.

        Raises:
            InvalidInput: the answer has classes that the Card has no label for.
        """
        contract = self.card.output
        if (
            tensor.dtype != np.uint8
            or tensor.ndim != 3
            or (tensor.size and tensor.max() >= len(contract.labels))
        ):
            highest = tensor.max() if tensor.size else None
            raise InvalidInput(
                f"the Card of {self.card.name!r} has {len(contract.labels)} labels, but the model answers "
                f"with {tensor.dtype} of shape {tensor.shape} and classes up to {highest}: export it again "
                "with the Card of its own weights"
            )
        palette = contract.palette or default_palette(len(contract.labels))
        return [Segmentation(label_map, contract.labels, palette) for label_map in tensor]


def _check_task(card: Card, task: str, method: str) -> None:
    if card.task != task:
        other = "segment" if method == "classify" else "classify"
        raise InvalidInput(f"{card.name!r} is a model for {card.task}: call {other}(), not {method}()")
