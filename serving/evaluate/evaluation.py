"""What judging a model found."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.serving.evaluate.data import SEED, Data
from regard.serving.evaluate.metrics.metrics import Confusion, Figures, Judged
from regard.serving.evaluate.subject import Subject


@dataclass(frozen=True)
class Evaluation:
    """The figures, and each image's own.

    Attributes:
        seconds: from the first image to the last figure, decoding included.
        each: the images in the data's order.
    """

    subject: Subject
    data: Data
    figures: Figures
    seconds: float
    each: Sequence[Judged]

    @property
    def images_per_second(self) -> float:
        """Over the whole run."""
        return len(self.each) / self.seconds

    def worst(self, count: int) -> list[Judged]:
        """The images that were answered worst, the worst first."""
        return sorted(self.each, key=lambda judged: judged.score)[:count]

    def to_json(self) -> str:
        """All of it as an indented JSON text; null for a figure that cannot be."""
        facts = {
            "model": self.subject.name,
            "run_by": self.subject.way,
            "task": self.subject.card.task,
            "data": str(self.data.found_in),
            "images": len(self.each),
            "of": self.data.total,
            "seed": SEED if self.data.sample else None,
            "images_per_second": self.images_per_second,
            "metrics": self.figures.metrics,
            "labels": self.figures.labels,
            "confusion": _confusion(self.figures.confusion),
            "each": [{"image": one.image, "score": one.score, **one.facts} for one in self.each],
        }
        return json.dumps(finite(facts), indent=2, allow_nan=False) + "\n"


def _confusion(confusion: Confusion | None) -> dict[str, Any] | None:
    if confusion is None:
        return None
    return {"rows": confusion.rows, "columns": confusion.columns, "counts": confusion.counts.tolist()}


def finite(value: Any) -> Any:
    """The value with None for NaN, which JSON lacks."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
