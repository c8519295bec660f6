"""Whatever a user calls an image, as the bytes of a file or as RGB pixels, one at a time."""

import glob
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.contract import preprocess
from regard.contract.image_files import as_served, images_in
from regard.contract.preprocess import BadImage, Pixels
from regard.errors import InvalidInput
from regard.serving.client.items import Encoded, Raw, Refused


class Readable(Protocol):
    """A file opened in binary mode, or what reads like one."""

    def read(self) -> bytes: ...


ImageLike: TypeAlias = str | os.PathLike[str] | bytes | Readable | Image.Image | npt.NDArray[Any]
ImageItem: TypeAlias = Encoded | Raw | Refused
Images: TypeAlias = ImageLike | Sequence[ImageLike]

ONE_IMAGE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray)
MAGIC = "*?["  # of patterns
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # chunks that may say it
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


def is_stream(images: object) -> bool:
    """Whether images are drawn one by one from an iterator, and the results with them."""
    return isinstance(images, Iterator) and not _is_file(images)


def is_one(image: object) -> bool:
    """Whether a value is one image, and no folder or pattern of several."""
    if isinstance(image, (str, os.PathLike)):
        return not os.path.isdir(image) and files_of(Path(image)) == [Path(image)]  # noqa: PTH112 - as below
    return isinstance(image, ONE_IMAGE) or _is_file(image)


def items(images: Images | Iterable[ImageLike]) -> Iterator[ImageItem]:
    """Each image in order, read when its turn comes; see `files_of` for directories and patterns.

    Raises:
        InvalidInput: not an image nor a collection of them; a directory without images.
    """
    if isinstance(images, ONE_IMAGE) or _is_file(images):
        yield from _expand(images, "the image")
    elif isinstance(images, Iterable):
        for index, image in enumerate(images):
            yield from _expand(image, f"images[{index}]")
    else:
        raise InvalidInput(
            "images must be a path, bytes, an open file, a PIL image, a NumPy array or several of these, got "
            f"{type(images).__name__}"
        )


def _expand(image: object, where: str) -> Iterator[ImageItem]:
    if isinstance(image, (str, os.PathLike)):
        yield from (_item(file, where) for file in files_of(Path(image)))
    else:
        yield _item(image, where)


def files_of(path: Path) -> list[Path]:
    """The files that a path stands for, sorted by name: the images in a directory; where there is no such
    file, those that match it as a pattern (`*`, `?`, `[...]`, `**`); else itself, whether or not it is there.

    Raises:
        InvalidInput: a directory without images.
    """
    written = os.fspath(path)
    if os.path.isdir(written):  # noqa: PTH112 - Path's own fails on a name that is too long
        return images_in(path)
    if os.path.lexists(written) or not set(MAGIC) & set(written):
        return [path]
    matching = sorted(map(Path, glob.glob(written, recursive=True)))  # noqa: PTH207 - Path's takes no root
    return [file for file in matching if file.is_file()] or [path]


def _is_file(image: object) -> bool:
    return hasattr(image, "read")


def _item(image: object, where: str) -> ImageItem:
    if isinstance(image, (str, os.PathLike)):
        where = os.fspath(image)
    elif isinstance(name := getattr(image, "name", None), str):  # of an opened file
        where = name
    try:
        if isinstance(image, (str, os.PathLike)):
            return encoded(_read(Path(image)), where)
        if isinstance(image, (bytes, bytearray, memoryview)):
            return encoded(bytes(image), where)
        if isinstance(image, Image.Image):
            return Raw(where, _pixels_of_image(image))
        if isinstance(image, np.ndarray):
            return Raw(where, _pixels_of_array(image))
        if _is_file(image):
            return encoded(_rest_of(image), where)
        raise BadImage(
            f"a {type(image).__name__} is not an image; give a path, bytes, an open file, a PIL image or a "
            "NumPy array"
        )
    except BadImage as error:
        return Refused(where, InvalidInput(f"{where}: {error}"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name may hold what no file's can
        raise BadImage(f"cannot read the file: {getattr(error, 'strerror', None) or error}") from None


def _rest_of(file: Any) -> bytes:
    try:
        data = file.read()
    except (OSError, ValueError) as error:
        raise BadImage(f"cannot read the file: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(data, bytes):
        raise BadImage(f"reading the file gives {type(data).__name__}, not bytes; open it in mode 'rb'")
    if not data:
        raise BadImage("the file holds nothing from where it stands; seek(0) after writing or reading it")
    return data


def encoded(data: bytes, where: str) -> Encoded:
    """An image file after a look at its header, made a PNG where a server does not take its format.

    Raises:
        BadImage: as of `regard.contract.image_files.as_served`.
    """
    data = as_served(data, where)
    with preprocess.open_image(data) as image:
        # Pillow decodes a whole PNG to look for EXIF behind its pixels
        may_be_turned = image.format != "PNG" or any(mark in data for mark in PNG_ORIENTATION)
        on_its_side = may_be_turned and preprocess.orientation(image) in SIDEWAYS
        height, width = (image.width, image.height) if on_its_side else (image.height, image.width)
    return Encoded(where, data, height, width)


def decoded(item: ImageItem) -> ImageItem:
    """The item as pixels."""
    if not isinstance(item, Encoded):
        return item
    try:
        return Raw(item.where, preprocess.decode(item.data))
    except BadImage as error:
        return Refused(item.where, InvalidInput(f"{item.where}: {error}"))


def as_file(pixels: Pixels) -> bytes:
    """RGB pixels as a PNG file, which loses nothing."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _pixels_of_image(image: Image.Image) -> Pixels:
    preprocess.check_size(image.height, image.width)
    return preprocess.rgb_pixels(image)


def _pixels_of_array(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8:
        raise BadImage(
            f"an array of pixels is uint8 from 0 to 255, got {array.dtype}; convert it: (x * "
            "255).round().astype('uint8')"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise BadImage(
            f"an array of pixels has shape (H, W, 3) RGB or (H, W) grey, got {array.shape}; give several "
            "images as a list"
        )
    preprocess.check_size(*array.shape[:2])
    return np.ascontiguousarray(array)
