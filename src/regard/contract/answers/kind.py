"""What regard asks of a kind of answer."""

from abc import ABC, abstractmethod
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from regard.contract.names import Task
from regard.contract.record import Record

Array = npt.NDArray[Any]
Upsampling = Literal["bilinear", "bilinear_align_corners", "nearest"]
Tensors = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]  # name -> type, and dimensions behind the batch


class AnswerKind(Record, ABC):
    """What the answer's numbers mean.

    Each kind also has `labels`, the names of what it answers (classes, words, joints), and `activation`, None
    where it applies none.

    Attributes:
        task: what a network of this answer to an image is for.
        tensor: the answer's name in the served graph.
        dtype: of the answer.
    """

    task: ClassVar[Task]
    tensor: ClassVar[str]
    dtype: ClassVar[np.dtype[Any]]

    @property
    @abstractmethod
    def scores(self) -> int:
        """How many scores the network gives for each image, pixel, word or joint."""

    @abstractmethod
    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Shape of the scores that the network returns for images of this size, before any activation."""

    @abstractmethod
    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        """Dimensions of the answer behind the batch for images of this size; -1 stays -1."""

    def tensors(self, height: int = -1, width: int = -1) -> Tensors:
        """Every tensor that is served of an answer to images of this size, the answer itself first; -1 where
        a dimension is not known.
        """
        return {self.tensor: (self.dtype, self.served_dims(height, width))}

    @property
    def upsampled_by(self) -> Upsampling | None:
        """How the network's scores are brought to the image's size; None where they already have it, or the
        answer is for the whole image.
        """
        return None

    @property
    def decided_by(self) -> str | None:
        """ONNX operator of the served graph that takes the scores; None where they are served themselves, as
        `scored_as`.
        """
        return None

    @property
    def scored_as(self) -> str | None:
        """Name of the served tensor that is the scores, where one is."""
        return None

    @property
    @abstractmethod
    def min_agreement(self) -> float:
        """Fraction of decisions that two runs of one network share at least, in float32."""

    def activated(self, scores: Any) -> Any:
        """A tensor of scores after the activation, where the answer needs it, by the tensor's own methods."""
        return scores

    @abstractmethod
    def served(self, activated: Any) -> Any:
        """The answer, of a tensor that `activated` gave."""

    def append(self, scores: Any) -> Any:
        """What the served graph makes of a tensor of scores."""
        return self.served(self.activated(scores))

    def outputs(self, returned: Any) -> dict[str, Any]:
        """Every served tensor by its name, as of `tensors`, of what the network returns."""
        return {self.tensor: self.append(returned)}

    @abstractmethod
    def agreeing(self, reference: Array, candidate: Array) -> npt.NDArray[np.bool_]:
        """Which decisions of two batches of answers of one shape are equal, one entry for each decision: what
        a user reads in an answer.
        """

    @abstractmethod
    def fault(self, answer: Array) -> str | None:
        """What makes a served batch no answer of this kind, as a clause; None where nothing does."""

    def agreement(self, reference: Array, candidate: Array) -> float:
        """The fraction of equal decisions of two batches of answers; 0 where their shapes differ."""
        if reference.shape != candidate.shape:
            return 0.0
        return float(self.agreeing(reference, candidate).mean())

    def served_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Shape of the answer."""
        return batch, *self.served_dims(height, width)

    def nbytes(self, batch: int, height: int, width: int) -> int:
        """How large the answer is."""
        return prod(self.served_shape(batch, height, width)) * self.dtype.itemsize
