"""One thing that both sides of a proof are asked: a batch, or the steps of sessions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from regard.contract.answers.kind import Array
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels

TRACED = 2  # a batch; the least that is not taken for the constant 1
SESSION = "session"  # of a rollout: which session each step is of


@dataclass(frozen=True)
class Shape:
    """Of what is asked.

    Attributes:
        batch: rows of a batch, or steps of a rollout.
        height, width: of its images or frames, where there are any.
        words: in a row of its texts, where there are any.
        rollout: whether the rows are steps, asked one after the other.
    """

    batch: int
    height: int | None = None
    width: int | None = None
    words: int | None = None
    rollout: bool = False

    def __str__(self) -> str:
        size = None if self.height is None else f"{self.height} x {self.width}"
        words = None if self.words is None else f"{self.words} words"
        of = " and ".join(filter(None, (size, words)))
        return f"{self.batch} steps of {of}" if self.rollout else f"batch {self.batch} of {of}"


@dataclass(frozen=True)
class Trial:
    """One batch of every input.

    Attributes:
        inputs: by tensor, each with a row for each of `kinds`; those of a rollout are its steps in order,
            with `start` and SESSION.
        kinds: what each row is, for messages.
        traced: whether the candidate was made with a batch of this size.
    """

    inputs: Mapping[str, Array]
    kinds: tuple[str, ...]
    traced: bool

    @property
    def image(self) -> Pixels:
        """The images, of a Card that takes one."""
        return self.inputs[IMAGE]

    @property
    def rollout(self) -> bool:
        """Whether its rows are steps of sessions."""
        return SESSION in self.inputs

    @property
    def shape(self) -> Shape:
        """Of what is asked."""
        height, width = next(
            (values.shape[-3:-1] for values in self.inputs.values() if values.dtype == np.uint8), (None, None)
        )
        words = next((values.shape[-1] for values in self.inputs.values() if is_text(values)), None)
        return Shape(len(self.kinds), height, width, words=words, rollout=self.rollout)

    @property
    def apart(self) -> dict[tuple[int, ...], dict[str, Array]]:
        """Rows that must be answered the same without the others: the first and the last one alone, their
        texts without padding; of a rollout the steps of its last session.
        """
        if self.rollout:
            sessions = self.inputs[SESSION]
            return {
                tuple(rows): self._rows(rows) for rows in [np.flatnonzero(sessions == sessions[-1]).tolist()]
            }
        return {(row,): self._rows([row]) for row in (0, len(self.kinds) - 1)}

    def _rows(self, rows: list[int]) -> dict[str, Array]:
        return {name: trimmed(values[rows]) for name, values in self.inputs.items()}


def is_text(values: Array) -> bool:
    """Whether an input is words by number, (B, words) or (B, sentences, words)."""
    return values.dtype == np.int64 and values.ndim > 1


def trimmed(values: Array) -> Array:
    """Texts without the padding that all of them share; anything else as it is."""
    if not is_text(values):
        return values
    ends = [max(used.max() + 1, 1) if used.size else 1 for used in np.nonzero(values)[1:]]
    return values[(slice(None), *map(slice, ends))]
