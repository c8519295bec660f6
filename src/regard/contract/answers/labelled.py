"""What answers of labels share: class i is labels[i]."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from regard.contract.answers.kind import AnswerKind, Array

Activation = Literal["softmax", "sigmoid"]


class Labelled(AnswerKind):
    """An answer that chooses among labels."""

    labels: tuple[str, ...] = Field(min_length=1)
    activation: Activation = Field(
        default="softmax", description="softmax: exactly one label applies. sigmoid: each by itself"
    )

    def decided(self, answer: Array) -> Array:
        """What a user reads in a batch of answers, one entry for each decision."""
        return answer

    def agreeing(self, reference: Array, candidate: Array) -> npt.NDArray[np.bool_]:
        return np.asarray(self.decided(reference) == self.decided(candidate))
