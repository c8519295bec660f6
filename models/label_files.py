"""Labels as files hold them: IDX arrays, and label maps beside images. Needs no PyTorch."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from regard.contract.preprocess import Pixels, orientation, turned
from regard.errors import InvalidInput

IMAGES, LABEL_MAPS = "images", "labels"  # folders of a split, see `label_map_beside`


def read_idx(path: Path) -> Pixels:
    """An IDX file: two zero bytes, type 8 (uint8), rank, one big-endian size per axis, then the values.

    Raises:
        InvalidInput: it cannot be read, or is no such file.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise InvalidInput(f"{path} is not an IDX file of bytes")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise InvalidInput(f"{path} ends within its header")
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != math.prod(shape) or values.size == 0:
        raise InvalidInput(f"{path} holds {values.size} bytes of values, its header says {shape}")
    return values.reshape(shape)


def idx_images(folder: Path, prefix: str) -> Path:
    """The file of the images."""
    return folder / f"{prefix}-images-idx3-ubyte.gz"


def read_labelled_idx(folder: Path, prefix: str, num_labels: int) -> tuple[Pixels, Pixels]:
    """Grey images uint8 (N, H, W) and their classes uint8 (N,) of MNIST's files and those of its kin.

    prefix: "train" or "t10k".

    Raises:
        InvalidInput: a file cannot be read, the two do not fit together, or there are more classes than
            labels.
    """
    images = read_idx(idx_images(folder, prefix))
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    if images.ndim != 3:
        raise InvalidInput(f"{folder} holds images of shape {images.shape} for {prefix}, not (N, H, W)")
    if labels.shape != images.shape[:1]:
        raise InvalidInput(
            f"{folder} holds {len(images)} images and labels of shape {labels.shape} for {prefix}"
        )
    if labels.max() >= num_labels:
        raise InvalidInput(f"{folder} holds class {labels.max()}, but there are {num_labels} labels")
    return images, labels


def label_map_beside(image: Path) -> Path:
    """The label map of an image: `labels/<stem>.png` for `images/<file>`."""
    return image.parent.parent / LABEL_MAPS / f"{image.stem}.png"


def read_label_map(path: Path, size: tuple[int, int]) -> Pixels:
    """A label map (H, W), upright as its image is: an 8-bit image of class numbers.

    size: H and W of the upright image.

    Raises:
        InvalidInput: it cannot be read, or has another size.
    """
    try:
        with Image.open(path) as file:
            file.load()
            label_map = np.asarray(turned(file, orientation(file)))
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput(f"cannot read the label map {path}: {error}") from None
    if label_map.ndim != 2 or label_map.dtype != np.uint8:
        raise InvalidInput(
            f"{path} must be an 8-bit image of class numbers, got shape {label_map.shape} of "
            f"{label_map.dtype}"
        )
    if label_map.shape != size:
        raise InvalidInput(
            f"{path} has the size {label_map.shape}, its image, turned upright, {size}; a label map has a "
            "label for each pixel of the upright image"
        )
    return label_map


def check_known(label_map: Pixels, path: Path, num_labels: int, ignore_index: int | None) -> None:
    """Refuse a label map with numbers that are neither classes nor the one of pixels without a label.

    Raises:
        InvalidInput: with these numbers.
    """
    if unknown := set(np.unique(label_map).tolist()) - {*range(num_labels), ignore_index}:
        raise InvalidInput(
            f"{path} holds classes {sorted(unknown)}, which are neither labels nor ignore_index"
        )
