"""Making goldens: images that tell one kind of preprocessing from another, answered by reference and graph.

landscape.jpg   larger than the network's input, so that it is resized: interpolation, antialiasing, crop
portrait.jpg    turned by its EXIF orientation, in draft mode at reach of a decoder that scales
grey.png        one channel
alpha.png       transparent in parts, laid over white
exact.jpg       of the network's own size, so that it is only decoded
narrow.png      far from square
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.goldens import ANSWERS_FILE, REFERENCE_FILE, write_answers
from regard.contract.image_input import ImageInput
from regard.contract.names import GOLDENS, IMAGE
from regard.contract.preprocess import Pixels
from regard.export.proof.runner import Runner

LARGER = 2.5  # times the input's side: an image that is resized
MOST = 640  # pixels of a side: goldens are small files
GRAIN = 24  # amplitude of the pattern that makes interpolations differ
EXIF_ORIENTATION, TURNED_RIGHT = 0x0112, 6


def write_goldens(
    folder: Path, card: Card, images: Sequence[Pixels], *, reference: Runner, candidate: Runner
) -> None:
    """Make the folder of goldens in an artifact's folder.

    Args:
        folder: the artifact's.
        card: of both runners.
        images: to make the goldens from, of any size.
        reference: gives what is right.
        candidate: the artifact's graph.
    """
    goldens = folder / GOLDENS
    goldens.mkdir()
    answers: dict[Runner, dict[str, Array]] = {reference: {}, candidate: {}}
    for name, encoded in golden_images(images, card.input).items():
        (goldens / name).write_bytes(encoded)
        batch = np.stack([card.input.decode_and_fit(encoded)])
        for runner, given in answers.items():
            given[name] = runner.run({IMAGE: batch})[card.answer.tensor][0]
    write_answers(goldens / REFERENCE_FILE, answers[reference])
    write_answers(goldens / ANSWERS_FILE, answers[candidate])


def golden_images(images: Sequence[Pixels], contract: ImageInput) -> dict[str, bytes]:
    """The encoded images by name, made from real ones, within the sizes that the input takes."""
    height, width = contract.height, contract.width
    # an input of any size is not resized: there a larger image only takes longer
    larger = 1.25 if contract.dynamic_size else min(LARGER, MOST / max(height, width))
    sizes = {
        "landscape.jpg": (height * larger, height * larger * 1.5),
        "portrait.jpg": (width * larger * 0.8, width * larger * 1.2),  # as stored, before it is turned
        "grey.png": (height * 0.8, width * 0.9),
        "alpha.png": (height * 0.9, width * 0.7),
        "exact.jpg": (height, width),
        "narrow.png": (height * 0.5, width * 1.4),
    }
    return {
        name: _encoded(name, _grained(images[index % len(images)], _within(size, contract), index))
        for index, (name, size) in enumerate(sizes.items())
    }


def _within(size: tuple[float, float], contract: ImageInput) -> tuple[int, int]:
    least, most = (contract.min_size, contract.max_size) if contract.dynamic_size else (1, MOST)
    height, width = (min(max(round(side), least), most) for side in size)
    return height, width


def _grained(pixels: Pixels, size: tuple[int, int], seed: int) -> Image.Image:
    """A real image of this size with a pattern on it that is as fine as its pixels."""
    height, width = size
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).integers(-GRAIN, GRAIN + 1, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _encoded(name: str, image: Image.Image) -> bytes:
    file = io.BytesIO()
    if name == "portrait.jpg":
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = TURNED_RIGHT
        image.save(file, "JPEG", quality=90, exif=exif)
    elif name.endswith(".jpg"):
        image.save(file, "JPEG", quality=90)
    elif name == "grey.png":
        image.convert("L").save(file, "PNG")
    elif name == "alpha.png":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(file, "PNG")
    else:
        image.save(file, "PNG")
    return file.getvalue()
