"""An answer that is an image: a reconstruction."""

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from regard.contract.answers.kind import AnswerKind, Array
from regard.contract.names import RECONSTRUCTION, Task
from regard.contract.results import Reconstruction

WHITE = 255


class ImageAnswer(AnswerKind):
    """An image of what the network sees, uint8 (B, height, width, channels), from values of 0 to 1 (B,
    channels, height, width).
    """

    task: ClassVar[Task] = "reconstruction"
    tensor: ClassVar[str] = RECONSTRUCTION
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)
    activation: ClassVar[None] = None

    kind: Literal["image"] = "image"
    channels: Literal[3, 1] = Field(default=3, description="3: RGB. 1: grey")

    @property
    def labels(self) -> tuple[str, ...]:
        return ()

    @property
    def scores(self) -> int:
        return self.channels

    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        return batch, self.channels, height, width

    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        return height, width, self.channels

    @property
    def decided_by(self) -> str:
        return "Clip"

    @property
    def min_agreement(self) -> float:
        return 1.0

    def activated(self, scores: Any) -> Any:
        return scores.clamp(0, 1)

    def served(self, activated: Any) -> Any:
        # cast last: TensorRT moves no uint8 about
        return (activated * WHITE).round().permute(0, 2, 3, 1).byte()

    def agreeing(self, reference: Array, candidate: Array) -> npt.NDArray[np.bool_]:
        """Whether each value is the same, or the next."""
        return np.asarray(np.abs(reference.astype(np.int16) - candidate.astype(np.int16)) <= 1)

    def fault(self, answer: Array) -> str | None:
        if answer.dtype == self.dtype and answer.ndim == 4 and answer.shape[3] == self.channels:
            return None
        return (
            f"has {self.channels} channels of uint8, but the model answers with {answer.dtype} of shape "
            f"{answer.shape}"
        )

    def result(self, pixels: Array) -> Reconstruction:
        """One image's pixels (height, width, channels)."""
        return Reconstruction(pixels)
