"""What every kind of metrics has: answers are added one by one, and figures come out at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from regard.contract.results import Classification, Segmentation
from regard.serving.evaluate.layouts import LabelledImage

Result = Classification | Segmentation
Counts = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One image's answer.

    Attributes:
        score: 0 to 1, how good it is: the probability of the true label; the mean IoU of the labels there
            are; or the Jaccard index of the labels that apply.
        facts: what the figures of any set of images can be made of, in JSON's types.
    """

    image: str
    score: float
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Confusion:
    """How often the truth (a row) was answered with what (a column), in images or pixels.

    rows: the labels.
    columns: likewise; where a crop left pixels out also a last one for these.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: Counts


@dataclass(frozen=True)
class Figures:
    """The result.

    Attributes:
        metrics: by name, 0 to 1; the first one is what the model is judged by.
        labels: a row for each label: its name as `label`, figures of its own, and its `support`, the images
            or pixels that have it; NaN where there is nothing to be said.
        confusion: None where labels do not exclude each other.
    """

    metrics: Mapping[str, float]
    labels: Sequence[Mapping[str, Any]]
    confusion: Confusion | None


class Metrics(Protocol):
    """Adds up answers."""

    def add(self, image: LabelledImage, result: Result) -> Judged:
        """Count an answer.

        Raises:
            InvalidInput: the image's truth cannot be read or does not fit the image.
        """
        ...

    def figures(self) -> Figures:
        """Of the answers so far, which are one or more."""
        ...
