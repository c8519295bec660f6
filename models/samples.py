"""A few real images that come with regard: what exports are proven on, and what the demo and the benchmark
show.

`sample_images/ATTRIBUTION.md` says where they come from; none was trained on.
"""

from pathlib import Path
from typing import Literal

from regard.contract.card import Card
from regard.contract.image_files import images_in, read_pixels
from regard.contract.preprocess import Pixels

Kind = Literal["street", "garment", "photo", "digit", "digit_pair", "shape", "shape_pair"]

SMALL = 64  # pixels; up to here a network takes a garment better than a photograph
STREETS = "CamVid"  # the data, as a Card names it, whose frames the streets are
DIGITS = "MNIST, LeCun"  # the data that the digits are of; of two in an image it says PAIRS first
PAIRS = "pairs"
SHAPES = "easy-VQA"  # likewise, of the shapes


def folder(kind: Kind) -> Path:
    """The folder of sample images: four street scenes (480 x 360, JPEG), ten garments (28 x 28, PNG), four
    photographs (480 x 360, JPEG), ten digits (28 x 28, PNG) or four pairs of digits (56 x 56, PNG), eight
    drawn shapes (64 x 64, PNG) or four pairs of them (128 x 64, PNG).
    """
    return Path(__file__).parent / "sample_images" / kind


def sample_folder(card: Card) -> Path:
    """The folder whose images suit a network. They travel with its export, as goldens: streets, which are not
    for commercial use, with a network that learned from such alone; else what anybody may pass on.
    """
    data = card.origin.data or ""
    if DIGITS in data:
        return folder("digit_pair" if data.startswith(PAIRS) else "digit")
    if SHAPES in data:
        return folder("shape_pair" if card.input.width > card.input.height else "shape")
    if max(card.input.height, card.input.width) <= SMALL:
        return folder("garment")
    return folder("street" if STREETS in data else "photo")


def sample_images(card: Card) -> list[Pixels]:
    """The images of `sample_folder`, brought to the Card's input size: uint8 (H, W, 3) each, in the order of
    their file names, of a Card of grey images too.
    """
    coloured = card.input.model_copy(update={"channels": 3})
    return [coloured.fit(read_pixels(path)) for path in images_in(sample_folder(card))]
