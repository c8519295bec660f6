"""The images a benchmark sends: encoded files, fitted by the Card where pixels are sent."""

from collections.abc import Sequence
from pathlib import Path

from regard.contract.card import Card
from regard.contract.image_files import images_in, read_served
from regard.contract.preprocess import BadImage, Pixels
from regard.errors import InvalidInput
from regard.models.samples import sample_folder

MOST = 64  # images are prepared in memory before the run; more of them would only take room


def read_images(folder: Path) -> list[bytes]:
    """The images of a folder as files that a server takes, by name, the first 64.

    Raises:
        InvalidInput: no such folder, no image in it, or one that cannot be read.
    """
    return [read_served(path) for path in images_in(folder)[:MOST]]


def sample_images(card: Card) -> list[bytes]:
    """The encoded sample images that come with regard: garments for networks as small as those, else
    streets.
    """
    return read_images(sample_folder(card))


def pixels_of(encoded: bytes, card: Card) -> Pixels:
    """The pixels that the network takes, uint8 of shape (H, W, 3).

    Raises:
        InvalidInput: the bytes are not an image we serve.
    """
    try:
        return card.input.decode_and_fit(encoded)
    except BadImage as error:
        raise InvalidInput(f"an image cannot be sent: {error}") from None


def batches(images: Sequence[bytes], card: Card, size: int) -> list[list[bytes]]:
    """Groups of `size` images, one for each image: the n-th starts with the n-th image and goes on around the
    set.

    Raises:
        InvalidInput: images of one group have different sizes for the network, or `size` is outside the
            Card's batch.
    """
    if not 1 <= size <= card.input.max_batch:
        raise InvalidInput(f"a batch of {card.name} holds 1 to {card.input.max_batch} images, got {size}.")
    if size > 1 and len(shapes := {pixels_of(image, card).shape for image in images}) > 1:
        raise InvalidInput(
            f"a batch holds images of one size, and the images have {len(shapes)}; send one at a time, or "
            "images of one size."
        )
    return [[images[(start + i) % len(images)] for i in range(size)] for start in range(len(images))]
