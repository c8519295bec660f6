"""An answer in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from regard.contract.heat_map import WHOLE, Box, HeatMap
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput

CELL = 24  # pixels of a square of an alignment's picture
MARGIN = 8  # pixels between words and squares


@dataclass(frozen=True)
class Text:
    """What the network says.

    words: of `text`. tokens: their numbers, and the end's where it came.
    log_probability: of the whole text, natural logarithm; scores: of each word.
    alignment: float32 (words, places), how much each word attends to each place of what was read; None where
        the network gives none.
    size: rows and columns of what the network saw, where its places are those of an image. box: what part of
        the image that was, from 0 to 1.
    """

    text: str
    words: tuple[str, ...]
    tokens: tuple[int, ...]
    log_probability: float
    scores: tuple[float, ...]
    alignment: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    size: tuple[int, int] | None = field(default=None, compare=False, repr=False)
    box: Box = field(default=WHOLE, compare=False, repr=False)

    def overlay(self, image: Image.Image | Pixels, word: int, *, alpha: float = 0.6) -> Image.Image:
        """What the network attended to as it said a word, laid over the image.

        Args:
            image: RGB, of any size, uncropped and upright.
            word: its place in `words`.
            alpha: weight of the colour at the maximum, from 0 to 1.

        Raises:
            InvalidInput: the network gives no alignment to an image, or there is no such word.
        """
        alignment = self._alignment()
        if self.size is None:
            raise InvalidInput("the alignment is to words: draw it by matrix()")
        if not 0 <= word < len(self.words):
            raise InvalidInput(f"the words are 0 to {len(self.words) - 1}, got {word}")
        rows, columns = grid_of(alignment.shape[1], *self.size)
        values = alignment[word].reshape(rows, columns).astype(np.float32)
        return HeatMap(values, self.box).overlay(image, alpha=alpha)

    def matrix(self, read: Sequence[str]) -> Image.Image:
        """The alignment as a picture: a row for each word said, a column for each word read, dark where it
        attends.

        Raises:
            InvalidInput: the network gives no alignment to so many words, or there are none.
        """
        alignment = self._alignment()
        if not self.words or not read:
            raise InvalidInput("no word was said or none was read: there is no alignment to draw")
        if len(read) > alignment.shape[1]:
            raise InvalidInput(f"the alignment is to {alignment.shape[1]} words, got {len(read)}")
        left, top = _longest(self.words), _longest(read)
        picture = Image.new("L", (left + CELL * len(read), top + CELL * len(self.words)), 255)
        squares = Image.fromarray((255 * (1 - alignment[:, : len(read)].clip(0, 1))).astype(np.uint8))
        picture.paste(
            squares.resize((CELL * len(read), CELL * len(self.words)), Image.Resampling.NEAREST), (left, top)
        )
        pen = ImageDraw.Draw(picture)
        for row, word in enumerate(self.words):
            pen.text((left - MARGIN, top + CELL * row + CELL // 2), word, fill=0, anchor="rm")
        for column, word in enumerate(read):
            picture.paste(_upright(word, top), (left + CELL * column, 0))
        return picture

    def _alignment(self) -> npt.NDArray[np.float32]:
        if self.alignment is None:
            raise InvalidInput("the model gives no alignment: its Card says aligned: false")
        return self.alignment


def grid_of(places: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of so many places of an image, of its proportions as nearly as they divide.

    Raises:
        InvalidInput: there are none.
    """
    divisors = [rows for rows in range(1, places + 1) if places % rows == 0]
    if not divisors:
        raise InvalidInput("the alignment has no places")
    rows = min(divisors, key=lambda rows: abs(np.log(rows * rows * width / (places * height))))
    return rows, places // rows


def _longest(words: Sequence[str]) -> int:
    """Pixels that the longest word takes, with its margins."""
    font = ImageFont.load_default()
    return 2 * MARGIN + round(max((font.getlength(word) for word in words), default=0))


def _upright(word: str, height: int) -> Image.Image:
    """A word written from below to above, as high as this."""
    lying = Image.new("L", (height, CELL), 255)
    ImageDraw.Draw(lying).text((MARGIN, CELL // 2), word, fill=0, anchor="lm")
    return lying.transpose(Image.Transpose.ROTATE_90)
