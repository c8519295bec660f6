"""What regard asks of a kind of input."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from regard.contract.record import Record

Array = npt.NDArray[Any]


class InputKind(Record, ABC):
    """One tensor that goes into the served graph. Each kind has a field `max_batch`, how many entries the
    server may put into one batch.

    Attributes:
        dtype: of the tensor.
    """

    dtype: ClassVar[np.dtype[Any]]

    @property
    @abstractmethod
    def tensor(self) -> str:
        """The input's name in the served graph."""

    @property
    @abstractmethod
    def dims(self) -> tuple[int, ...]:
        """Dimensions of the tensor behind the batch, -1 where any will do."""

    @abstractmethod
    def fault(self, batch: Array) -> str | None:
        """What makes an array no batch of this input, as a clause; None where nothing does."""


def batch_fault(batch: Array, most: int) -> str | None:
    """What is wrong with the number of a batch's entries, as a clause; None where nothing is."""
    return None if 1 <= len(batch) <= most else f"takes batches of 1 to {most}, got {len(batch)}"
