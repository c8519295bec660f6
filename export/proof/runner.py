"""Whatever computes a served answer: a network, a graph, a model as given, an endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from regard.errors import ExportError

Arrays = Mapping[str, npt.NDArray[Any]]

# what an answer is made of, where it is known: float32, as of the answer's `scores_shape`
SCORES = "scores"


class CannotRun(ExportError):
    """It stops at a shape that the Card allows."""


@dataclass(frozen=True)
class Recorded:
    """Something that answered before: what it was, and the SHA-256 of what it ran, as of Runner."""

    name: str
    sha256: str | None


class Runner(Protocol):
    """Something that computes: named arrays in, named arrays out."""

    @property
    def name(self) -> str:
        """What it is, for the record."""
        ...

    @property
    def sha256(self) -> str | None:
        """SHA-256 of what it runs, its weights or its file; None where that cannot be known."""
        ...

    def run(self, inputs: Arrays) -> Arrays:
        """Take a batch of each of the Card's inputs by its tensor, and give the served answer, every tensor
        of it by its name, SCORES where they are known, and the maps of an explanation by their names. One
        that carries a state also takes `start` and the state, of one row, and gives the next state.

        Raises:
            CannotRun: it stops at this shape.
        """
        ...
