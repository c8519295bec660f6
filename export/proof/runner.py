"""Whatever computes a served answer: a network, a graph, a model as given, an endpoint."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from regard.errors import ExportError

Arrays = Mapping[str, npt.NDArray[Any]]

# what an answer is chosen from, where it is known: logits (B, K) or (B, K, H, W), float32
SCORES = "scores"


class CannotRun(ExportError):
    """It stops at a shape that the Card allows."""


class Runner(Protocol):
    """Something that computes: named arrays in, named arrays out."""

    @property
    def name(self) -> str:
        """What it is, for the record."""
        ...

    def run(self, inputs: Arrays) -> Arrays:
        """Take `image`, uint8 (B, H, W, 3), and give `probabilities` float32 (B, K) or `label_map` uint8
        (B, H, W), SCORES where they are known, and the maps of an explanation by their names.

        Raises:
            CannotRun: it stops at this shape.
        """
        ...
