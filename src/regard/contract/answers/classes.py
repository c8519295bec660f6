"""An answer of classes: the probability of each label, for the whole image."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from regard.contract.answers.kind import Array
from regard.contract.answers.labelled import Labelled
from regard.contract.names import PROBABILITIES, Task
from regard.contract.results import Classification
from regard.errors import InvalidInput

Threshold = Annotated[float, Field(gt=0, lt=1)]
DEFAULT_THRESHOLD = 0.5


class Classes(Labelled):
    """Probabilities float32 (B, K) of K labels, from scores (B, K).

    softmax: the labels exclude each other, and the rows add up to 1. sigmoid: each label applies or not; it
    does from its threshold on, which the client compares, so that it changes without an export.
    """

    task: ClassVar[Task] = "classification"
    tensor: ClassVar[str] = PROBABILITIES
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)

    kind: Literal["classes"] = "classes"
    thresholds: tuple[Threshold, ...] | None = Field(
        default=None, description=f"of each label, for sigmoid; {DEFAULT_THRESHOLD} where there are none"
    )

    @model_validator(mode="after")
    def _check(self) -> "Classes":
        if self.activation == "softmax" and len(self.labels) == 1:
            raise ValueError(
                "one label alone has probability 1 by softmax whatever the image: give the other labels, "
                "or set activation to 'sigmoid'"
            )
        if self.thresholds is not None:
            if self.activation == "softmax":
                raise ValueError("thresholds are for activation 'sigmoid'")
            if len(self.thresholds) != len(self.labels):
                raise ValueError(f"there are {len(self.thresholds)} thresholds for {len(self.labels)} labels")
        return self

    @property
    def scores(self) -> int:
        return len(self.labels)

    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        return batch, self.scores

    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        return (len(self.labels),)

    @property
    def decided_by(self) -> str:
        return {"softmax": "Softmax", "sigmoid": "Sigmoid"}[self.activation]

    @property
    def min_agreement(self) -> float:
        return 1.0 if self.activation == "softmax" else 0.999  # a label at its threshold may fall either way

    def activated(self, scores: Any) -> Any:
        return scores.softmax(dim=1) if self.activation == "softmax" else scores.sigmoid()

    def served(self, activated: Any) -> Any:
        return activated

    def decided(self, answer: Array) -> Array:
        """The likeliest class of each image (B,); by sigmoid whether each label applies (B, K)."""
        return answer.argmax(axis=1) if self.activation == "softmax" else answer >= self._thresholds

    def fault(self, answer: Array) -> str | None:
        if answer.ndim != 2 or answer.shape[1] != len(self.labels):
            return f"has {len(self.labels)} labels, but the model answers with shape {answer.shape}"
        if not np.isfinite(answer).all():
            return "means probabilities, but the model answers NaN or infinity"
        return None

    def at_threshold(self, threshold: float) -> "Classes":
        """The same with one threshold for every label, in place of its own.

        Raises:
            InvalidInput: the labels exclude each other, or it is not between 0 and 1.
        """
        if self.activation == "softmax":
            raise InvalidInput(
                "a threshold is for labels that apply together (activation 'sigmoid'); of these exactly one "
                "applies, the likeliest: leave the threshold out"
            )
        if not 0 < threshold < 1:
            raise InvalidInput(f"a threshold lies between 0 and 1, got {threshold}")
        return self.model_copy(update={"thresholds": (threshold,) * len(self.labels)})

    def result(self, row: Array, *, top_k: int) -> Classification:
        """The `top_k` likeliest labels of one image's probabilities (K,), and those that apply."""
        order = np.argsort(-row, kind="stable").tolist()
        top = tuple((self.labels[index], float(row[index])) for index in order[:top_k])
        if self.activation == "softmax":
            return Classification(*top[0], top, labels=(top[0][0],))
        applies = (row >= self._thresholds).tolist()
        return Classification(
            *top[0], top, labels=tuple(self.labels[index] for index in order if applies[index])
        )

    @property
    def _thresholds(self) -> Array:
        return np.array(self.thresholds or [DEFAULT_THRESHOLD] * len(self.labels), dtype=np.float32)
