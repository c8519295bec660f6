"""An answer of a label for every pixel."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from regard.contract.answers.kind import Array, Upsampling
from regard.contract.answers.labelled import Labelled
from regard.contract.names import LABEL_MAP, Task
from regard.contract.palette import Colour, default_palette
from regard.contract.results import Segmentation

Channel = Annotated[int, Field(ge=0, le=255)]
DEFAULT_THRESHOLD = 0.5
MOST_LABELS = 256  # a label map is uint8


class LabelMap(Labelled):
    """A label map uint8 (B, H, W), drawn in the palette.

    softmax: the label of the largest of K scores (B, K, H, W). sigmoid: of one score (B, 1, H, W), label 1
    where its sigmoid reaches the threshold and label 0 elsewhere.
    """

    task: ClassVar[Task] = "segmentation"
    tensor: ClassVar[str] = LABEL_MAP
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    kind: Literal["label_map"] = "label_map"
    palette: tuple[tuple[Channel, Channel, Channel], ...] | None = None
    ignore_index: int | None = Field(
        default=None,
        description="label of pixels that training and metrics left out, and of those that a crop leaves out",
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=f"for sigmoid, inside the graph; {DEFAULT_THRESHOLD} where there is none",
    )

    upsampling: Upsampling | None = Field(
        default=None,
        description="how the graph brings scores of another size to the image's: bilinear with half-pixel "
        "centres, bilinear with aligned corners, or nearest; None where they have its size",
    )

    @model_validator(mode="after")
    def _check(self) -> "LabelMap":
        count = len(self.labels)
        if self.activation == "sigmoid" and count != 2:
            raise ValueError(
                "activation 'sigmoid' is for one score and two labels, the second where the score is high; "
                f"got {count} labels"
            )
        if self.activation == "softmax" and self.threshold is not None:
            raise ValueError("threshold is for activation 'sigmoid'")
        if count == 1:
            raise ValueError(
                "one label alone is every pixel's whatever the image: give the other labels; for a network "
                "of one score name both its labels and set activation to 'sigmoid'"
            )
        if count > MOST_LABELS:
            raise ValueError(f"a label map is uint8: at most {MOST_LABELS} labels, got {count}")
        if self.palette is not None and len(self.palette) != count:
            raise ValueError(f"palette has {len(self.palette)} colours for {count} labels")
        if self.ignore_index is not None and 0 <= self.ignore_index < count:
            raise ValueError(
                f"ignore_index {self.ignore_index} is the label {self.labels[self.ignore_index]!r}"
            )
        return self

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The palette, PASCAL VOC's where there is none."""
        return self.palette or default_palette(len(self.labels))

    @property
    def unseen(self) -> int:
        """What stands for no label in a uint8 map: ignore_index where it fits into one, else 255."""
        index = self.ignore_index
        return MOST_LABELS - 1 if index is None or not 0 <= index < MOST_LABELS else index

    @property
    def scores(self) -> int:
        return len(self.labels) if self.activation == "softmax" else 1

    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        return batch, self.scores, height, width

    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        return height, width

    @property
    def upsampled_by(self) -> Upsampling | None:
        return self.upsampling

    @property
    def decided_by(self) -> str:
        return {"softmax": "ArgMax", "sigmoid": "Sigmoid"}[self.activation]

    @property
    def min_agreement(self) -> float:
        return 0.999  # a pixel on the border of two labels may fall either way

    def activated(self, scores: Any) -> Any:
        return scores if self.activation == "softmax" else scores.sigmoid()  # softmax keeps the order

    def served(self, activated: Any) -> Any:
        if self.activation == "softmax":
            labels = activated.argmax(dim=1)
        else:
            labels = (activated >= (self.threshold or DEFAULT_THRESHOLD)).squeeze(1)
        return labels.float().byte()  # TensorRT makes uint8 of floating-point numbers alone

    def fault(self, answer: Array) -> str | None:
        if answer.dtype == self.dtype and answer.ndim == 3 and answer.max(initial=0) < len(self.labels):
            return None
        highest = answer.max() if answer.size else None
        return (
            f"has {len(self.labels)} labels, but the model answers with {answer.dtype} of shape "
            f"{answer.shape} and classes up to {highest}"
        )

    def result(self, label_map: Array) -> Segmentation:
        """One image's label map (H, W), of labels and of `unseen`, with its labels and colours."""
        return Segmentation(label_map, self.labels, self.colours)
