"""Which images calibrate and which judge: never the same ones, told apart by their contents."""

import hashlib
import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regard.contract.card import Card
from regard.contract.image_files import SUFFIXES
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.models.label_files import IMAGES
from regard.serving.client.batches import batches
from regard.serving.client.images import items
from regard.serving.evaluate.data import SEED, Data
from regard.serving.evaluate.layouts import LabelledImage, idx, is_idx

TRAIN = "train"  # the split that calibrates where none is named
CALIBRATION = 300  # images, where there are so many
LEAST_CALIBRATION = 32
# too few images cannot show an agreement of 0.99: without a different answer in 300 it is that with 95 %
LEAST_JUDGED = {"classification": 300, "segmentation": 20}
MOST_JUDGED = 2000  # of a folder's images, where nothing else judges


@dataclass(frozen=True)
class Pool:
    """Images of one place, chosen by chance, the same every time."""

    found_in: Path
    images: Sequence[LabelledImage]

    def __str__(self) -> str:
        return described(self.found_in, len(self.images))


def described(found_in: Path, images: int) -> str:
    """Images for the record: how many, and where they lay, by the last two names of the path."""
    place = found_in.absolute()
    place = place.parent if place.name == IMAGES else place
    return f"{images:,} images of {'/'.join(place.parts[-2:])}"


def pool_of(path: Path, card: Card, split: str | None) -> Pool:
    """All images below a folder, or in MNIST's files, in the order of a seeded draw; labels are not read.

    split: a folder below `path`, or a split of MNIST's files; by default `train` where there is one.

    Raises:
        InvalidInput: no such folder, or no images in it.
    """
    if is_idx(path):
        found_in, images = idx(path, len(card.answer.labels), split or TRAIN)
    else:
        found_in = _folder(path, split)
        images = [LabelledImage(str(file.relative_to(found_in)), file, ()) for file in _files(found_in)]
    if not images:
        raise InvalidInput(
            f"there are no images ({', '.join(SUFFIXES)}) below {found_in}; name a folder of some"
        )
    order = np.random.default_rng(SEED).permutation(len(images))
    return Pool(found_in, [images[place] for place in order.tolist()])


def calibration_beside(pool: Pool, judged: Data | None) -> Pool:
    """Images of the pool to calibrate with, none of which judges.

    Raises:
        InvalidInput: too few are left.
    """
    judging = () if judged is None else {content(image) for image in judged.images}
    images = _distinct(pool, CALIBRATION, judging)
    if len(images) < LEAST_CALIBRATION:
        left_out = "" if judged is None else f", those that judge ({judged.found_in}) left out"
        raise InvalidInput(
            f"{pool.found_in} holds {len(images)} different images to calibrate with{left_out}, and it takes "
            f"at least {LEAST_CALIBRATION}; add some"
        )
    return Pool(pool.found_in, images)


def shared_out(pool: Pool, task: str) -> tuple[Pool, Pool]:
    """Images of the pool to calibrate with, and others to judge by.

    Raises:
        InvalidInput: too few for both.
    """
    images = _distinct(pool, CALIBRATION + MOST_JUDGED)
    least = LEAST_JUDGED[task]
    if len(images) < LEAST_CALIBRATION + least:
        raise InvalidInput(
            f"{pool.found_in} holds {len(images)} different images: to calibrate takes at least "
            f"{LEAST_CALIBRATION}, and to judge a model of {task} {least} others; add some, or give labelled "
            "data to judge by"
        )
    judged = max(least, len(images) - CALIBRATION)
    return Pool(pool.found_in, images[judged:]), Pool(pool.found_in, images[:judged])


def held_out(pool: Pool, task: str) -> Pool:
    """Images of the pool to judge by, where none calibrate.

    Raises:
        InvalidInput: too few.
    """
    images = _distinct(pool, MOST_JUDGED)
    check_enough(images, pool.found_in, task)
    return Pool(pool.found_in, images)


def check_enough(images: Sequence[LabelledImage], found_in: Path, task: str) -> None:
    """Refuse images that are too few to show an agreement.

    Raises:
        InvalidInput: they are.
    """
    if len(images) < LEAST_JUDGED[task]:
        raise InvalidInput(
            f"{len(images)} images of {found_in} are too few to judge a model of {task} by: it takes at "
            f"least {LEAST_JUDGED[task]}; add some, or take a larger sample"
        )


def fitted(image: LabelledImage, card: Card) -> Pixels:
    """What the network is given of an image: uint8 (height, width, channels).

    Raises:
        InvalidInput: it cannot be read.
    """
    (batch,) = batches(items(iter([image.image])), card, decode=True)
    if batch.refused:
        raise batch.refused
    pixels: Pixels = batch.tensors()[IMAGE][0]
    return pixels


def content(image: LabelledImage) -> str:
    """What tells an image from another whatever it is called: the SHA-256 of its file, or its pixels.

    Raises:
        InvalidInput: it cannot be read.
    """
    given = image.image
    if not isinstance(given, Path):
        return hashlib.sha256(repr(given.shape).encode() + given.tobytes()).hexdigest()
    try:
        return hashlib.sha256(given.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidInput(f"cannot read {given}: {error.strerror or error}") from None


def _distinct(pool: Pool, most: int, others: Container[str] = ()) -> list[LabelledImage]:
    """The first so many images of the pool, each content once and none of these others."""
    found: dict[str, LabelledImage] = {}
    for image in pool.images:
        if len(found) == most:
            break
        if (key := content(image)) not in others:
            found.setdefault(key, image)
    return [*found.values()]


def _folder(path: Path, split: str | None) -> Path:
    """The folder that is searched: of a split, and in it that of images where label maps lie beside it."""
    if not path.is_dir():
        raise InvalidInput(f"{path} is no folder of images to calibrate with")
    folder = path / split if split else path / TRAIN if (path / TRAIN).is_dir() else path
    if not folder.is_dir():
        raise InvalidInput(f"{path} has no split {split!r}: there is no such folder in it")
    return folder / IMAGES if (folder / IMAGES).is_dir() else folder


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES)
