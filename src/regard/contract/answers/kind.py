"""What regard asks of a kind of answer."""

from abc import ABC, abstractmethod
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from regard.contract.names import Task
from regard.contract.record import Record

Array = npt.NDArray[Any]
Activation = Literal["softmax", "sigmoid"]
Upsampling = Literal["bilinear", "bilinear_align_corners", "nearest"]


class AnswerKind(Record, ABC):
    """What the answer's numbers mean: class i is labels[i].

    Attributes:
        task: what a network of this answer is for.
        tensor: the answer's name in the served graph.
        dtype: of the answer.
    """

    task: ClassVar[Task]
    tensor: ClassVar[str]
    dtype: ClassVar[np.dtype[Any]]

    labels: tuple[str, ...] = Field(min_length=1)
    activation: Activation = Field(
        default="softmax", description="softmax: exactly one label applies. sigmoid: each by itself"
    )

    @property
    @abstractmethod
    def scores(self) -> int:
        """How many scores the network gives for each image or pixel."""

    @abstractmethod
    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Shape of what the network returns for images of this size: scores, before any activation."""

    @abstractmethod
    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        """Dimensions of the answer behind the batch for images of this size; -1 stays -1."""

    @property
    def upsampled_by(self) -> Upsampling | None:
        """How the network's scores are brought to the image's size; None where they already have it, or the
        answer is for the whole image.
        """
        return None

    @property
    @abstractmethod
    def decided_by(self) -> str:
        """ONNX operator of the served graph that takes the scores."""

    @property
    @abstractmethod
    def min_agreement(self) -> float:
        """Fraction of decisions that two runs of one network share at least, in float32."""

    @abstractmethod
    def activated(self, scores: Any) -> Any:
        """A tensor of scores after the activation, where the answer needs it, by the tensor's own methods."""

    @abstractmethod
    def served(self, activated: Any) -> Any:
        """The answer, of a tensor that `activated` gave."""

    def append(self, scores: Any) -> Any:
        """What the served graph makes of a tensor of scores."""
        return self.served(self.activated(scores))

    @abstractmethod
    def decided(self, answer: Array) -> Array:
        """What a user reads in an answer, one entry for each decision: two answers agree where these are
        equal.
        """

    @abstractmethod
    def fault(self, answer: Array) -> str | None:
        """What makes a served batch no answer of this kind, as a clause; None where nothing does."""

    def agreement(self, reference: Array, candidate: Array) -> float:
        """The fraction of equal decisions of two batches of answers; 0 where their shapes differ."""
        if reference.shape != candidate.shape:
            return 0.0
        return float((self.decided(reference) == self.decided(candidate)).mean())

    def served_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Shape of the answer."""
        return batch, *self.served_dims(height, width)

    def nbytes(self, batch: int, height: int, width: int) -> int:
        """How large the answer is."""
        return prod(self.served_shape(batch, height, width)) * self.dtype.itemsize
