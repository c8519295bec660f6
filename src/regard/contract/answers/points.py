"""An answer of points with names: a pose."""

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from regard.contract.answers.kind import AnswerKind, Array
from regard.contract.heat_map import WHOLE, Box
from regard.contract.names import POINTS, Task
from regard.contract.results import Pose

NEAR = 0.005  # of the image's side: two points so near are one


class Points(AnswerKind):
    """A point for each name, float32 (B, names, 3): x and y as fractions of what the network sees, from its
    left and top, and a confidence from 0 to 1. The network gives exactly that.
    """

    task: ClassVar[Task] = "pose"
    tensor: ClassVar[str] = POINTS
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)
    activation: ClassVar[None] = None

    kind: Literal["points"] = "points"
    names: tuple[str, ...] = Field(min_length=1)
    skeleton: tuple[tuple[str, str], ...] = Field(
        default=(), description="pairs of names that a picture joins by a line"
    )

    @model_validator(mode="after")
    def _check(self) -> "Points":
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"two points are named {twice!r}")
        for name in (name for pair in self.skeleton for name in pair):
            if name not in self.names:
                raise ValueError(f"the skeleton joins {name!r}, which is no point: {', '.join(self.names)}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names

    @property
    def scores(self) -> int:
        return len(self.names)

    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        return batch, len(self.names), 3

    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        return len(self.names), 3

    @property
    def scored_as(self) -> str:
        return POINTS

    @property
    def min_agreement(self) -> float:
        return 1.0

    def served(self, activated: Any) -> Any:
        return activated

    def agreeing(self, reference: Array, candidate: Array) -> npt.NDArray[np.bool_]:
        """Whether each point is in the same place (B, names), within NEAR of the image's sides."""
        moved = np.abs(reference[..., :2] - candidate[..., :2]).max(axis=-1)
        return np.asarray(moved <= NEAR)

    def fault(self, answer: Array) -> str | None:
        if answer.shape[1:] != (len(self.names), 3):
            return f"has {len(self.names)} points, but the model answers with shape {answer.shape}"
        if not np.isfinite(answer).all():
            return "means points, but the model answers NaN or infinity"
        return None

    def result(self, points: Array, size: tuple[int, int], *, box: Box = WHOLE) -> Pose:
        """One image's points (names, 3) in its own pixels.

        Args:
            points: as served.
            size: rows and columns of the image.
            box: what part of it the network saw: left, top, right and bottom, from 0 to 1.
        """
        rows, columns = size
        left, top, right, bottom = box
        x = (left + points[:, 0] * (right - left)) * columns
        y = (top + points[:, 1] * (bottom - top)) * rows
        places = zip(x.tolist(), y.tolist(), strict=True)
        return Pose(
            dict(zip(self.names, places, strict=True)),
            dict(zip(self.names, points[:, 2].tolist(), strict=True)),
            self.skeleton,
        )
