"""The pictures of a result, by their kind; each becomes a PNG file."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from PIL import Image, ImageDraw

from regard.contract.card import Card
from regard.contract.names import Task
from regard.contract.preprocess import Pixels
from regard.contract.results import Classification, Pose, Reconstruction, Segmentation, Text

KINDS: dict[Task, tuple[str, ...]] = {
    "classification": ("heat",),
    "segmentation": ("mask", "overlay"),
    "captioning": ("alignment",),
    "translation": ("alignment",),
    "question_answering": ("alignment", "heat"),
    "pose": ("overlay",),
    "reconstruction": ("reconstruction",),
}
ROOM = 16  # pixels above an image, for a word


def drawings(
    result: Any,
    card: Card,
    *,
    pixels: Callable[[], Pixels],
    text: str | None,
    clear: Collection[str | int],
) -> Iterator[tuple[str, Image.Image]]:
    """Each picture and its kind; none where the model explains nothing.

    pixels: of the image that was asked about.
    text: that was asked, where that was the last of the Card's inputs.
    clear: classes that overlays leave as they are (`Segmentation.overlay`).

    Raises:
        InvalidInput: the image cannot be read; a class that is none.
    """
    match result:
        case Classification() if result.heat is not None:
            yield "heat", result.heat.overlay(pixels())
        case Segmentation():
            yield "mask", result.mask()
            yield "overlay", result.overlay(pixels(), clear=clear)
        case Text() if result.alignment is not None and result.words:
            if result.size is not None:
                yield "alignment", word_by_word(result, pixels())
            elif text is not None:
                yield "alignment", result.matrix(read_words(card, text))
        case Pose():
            yield "overlay", result.overlay(pixels())
        case Reconstruction():
            yield "reconstruction", result.image()


def word_by_word(text: Text, pixels: Pixels) -> Image.Image:
    """A strip: the image once for each word, with where it looked, the word above."""
    height, width = pixels.shape[:2]
    strip = Image.new("RGB", (width * len(text.words), height + ROOM), "white")
    pen = ImageDraw.Draw(strip)
    for place, word in enumerate(text.words):
        strip.paste(text.overlay(pixels, place), (width * place, ROOM))
        pen.text((width * place + 2, 2), word, fill="black")
    return strip


def read_words(card: Card, text: str) -> list[str]:
    """The words that an alignment's columns stand for: of the text that is read last, the end included."""
    tokenizer = card.texts[-1].tokenizer
    words = tokenizer.words(text)
    return words if tokenizer.end is None else [*words, tokenizer.end]
