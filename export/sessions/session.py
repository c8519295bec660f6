"""What runs a graph, whatever the runtime."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from regard.export.proof.runner import Arrays


class Session(Protocol):
    """An opened graph; several threads may share it.

    Attributes:
        name: what runs it, for the record.
        outputs: the names of what it gives.
    """

    name: str
    outputs: tuple[str, ...]

    def run(self, outputs: Sequence[str], inputs: Arrays) -> list[npt.NDArray[Any]]:
        """The named outputs.

        Raises:
            CannotRun: it stops at these inputs.
        """
        ...
