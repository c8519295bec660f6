"""One word of an answer that comes word by word."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """A word as it is said.

    number: its place in the vocabulary.
    log_probability: natural logarithm.
    """

    text: str
    number: int
    log_probability: float
