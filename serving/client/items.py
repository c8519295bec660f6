"""What one is asked about, as it is sent: one class for each form that an entry of an input takes."""

from dataclasses import dataclass
from typing import TypeAlias

from regard.contract.preprocess import Pixels
from regard.contract.tokenizer import Ids
from regard.errors import InvalidInput


@dataclass(frozen=True)
class Encoded:
    """A whole image file; `height` and `width` are those of the upright image, read from the header."""

    where: str
    data: bytes
    height: int
    width: int


@dataclass(frozen=True)
class Raw:
    """RGB pixels, uint8 (H, W, 3)."""

    where: str
    pixels: Pixels


@dataclass(frozen=True)
class Clip:
    """The frames of a clip in their order, each RGB pixels (H, W, 3) of one size."""

    where: str
    frames: tuple[Pixels, ...]


@dataclass(frozen=True)
class Words:
    """A text, and its words' numbers (words,) or (sentences, words)."""

    where: str
    text: str
    numbers: Ids


@dataclass(frozen=True)
class Refused:
    """What is not worth sending, and why."""

    where: str
    error: InvalidInput


Part: TypeAlias = Encoded | Raw | Clip | Words


@dataclass(frozen=True)
class Several:
    """A question of several inputs, in the Card's order."""

    parts: tuple[Part, ...]

    @property
    def where(self) -> str:
        """Of all of them."""
        return ", ".join(part.where for part in self.parts)


Item: TypeAlias = Part | Several | Refused
