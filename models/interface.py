"""What a network of the catalog says it takes and answers, by its method `interface()`.

It knows sizes alone, so that its words and classes are numbered; the Card of trained weights names them.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from regard.contract.answers import Answer, Sequence
from regard.contract.image_input import ImageInput
from regard.contract.inputs import Input
from regard.contract.state import State
from regard.contract.tokens_input import END, PADDING, UNKNOWN, TokensInput


@dataclass(frozen=True)
class Interface:
    """The inputs in the order of the network's arguments, its answer, and what it remembers."""

    inputs: tuple[Input, ...]
    answer: Answer
    state: State | None = None


@runtime_checkable
class WithInterface(Protocol):
    """A network that says what it takes and answers; one without takes an image, and answers its scores."""

    def interface(self) -> Interface: ...


def plain_image(side: int, channels: int) -> ImageInput:
    """A square image whose values reach the network as they are, 0 to 1: a 0 beyond its edge is black."""
    return ImageInput(
        height=side,
        width=side,
        resize="stretch",
        channels=3 if channels == 3 else 1,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


def captions(image_size: int, words: int, longest: int) -> Interface:
    """A square image, and up to `longest` numbered words as the answer, aligned to its places."""
    image = ImageInput(height=image_size, width=image_size, resize="stretch")
    return Interface((image,), Sequence(vocabulary=numbered_words(words), longest=longest, aligned=True))


def translations(words: int, answer_words: int, longest: int) -> Interface:
    """A text of numbered words, and one as the answer, of up to `longest` each, aligned to its words."""
    text = TokensInput(vocabulary=numbered_words(words), longest=longest)
    answer = Sequence(vocabulary=numbered_words(answer_words), longest=longest, aligned=True)
    return Interface((text,), answer)


def numbered_classes(count: int) -> tuple[str, ...]:
    """Labels of classes: class 0, class 1, ..."""
    return tuple(f"class {index}" for index in range(count))


def numbered_words(count: int) -> tuple[str, ...]:
    """A vocabulary of `count` words: padding, unknown, end, and w3, w4, ...

    Raises:
        ValueError: there is no room for a word.
    """
    if count < 4:
        raise ValueError(f"words must be 4 at least, padding, unknown and end among them; got {count}")
    return PADDING, UNKNOWN, END, *(f"w{index}" for index in range(3, count))
