"""Which files of a folder are images, what a server takes of them, and their pixels.

A server decodes JPEG, PNG and WebP. BMP, GIF and TIFF files are decoded where they lie, and sent as PNG,
which loses nothing. Of a file of several frames or pages the first is taken, with a warning.
"""

import io
import warnings
from collections import Counter
from pathlib import Path

from PIL import Image

from regard.contract.preprocess import FORMATS, BadImage, Pixels, decode, open_image, rgb_pixels
from regard.errors import InvalidInput

LOCAL_FORMATS = ("BMP", "GIF", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # in any letter case
# images that are not read here
OTHER_SUFFIXES = (".avif", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".pgm", ".ppm", ".psd", ".svg", ".tga")


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, sorted by name; warns of images that are left out for their format.

    Raises:
        InvalidInput: no such folder, or it holds none.
    """
    is_folder = folder.is_dir()
    files = [path for path in sorted(folder.iterdir()) if path.is_file()] if is_folder else []
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    others = Counter(path.suffix.lower() for path in files if path.suffix.lower() in OTHER_SUFFIXES)
    left_out = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    if not found:
        also = f" (but {left_out})" if left_out else ""
        raise InvalidInput(
            f"no images ({', '.join(SUFFIXES)}) in {folder}{also if is_folder else ', which is no folder'}; "
            "name a folder that holds some"
        )
    if left_out:
        warnings.warn(f"{folder}: {left_out} left out; convert them to PNG", stacklevel=2)
    return found


def as_served(data: bytes, where: str) -> bytes:
    """An image file as a server takes it: itself, or as a PNG file of the same RGB pixels.

    Raises:
        BadImage: as of `open_image`; of a format that is decoded here also as of `rgb_pixels`.
    """
    with open_image(data, FORMATS + LOCAL_FORMATS) as image:
        if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a JPEG with previews
            warnings.warn(f"{where} holds several images; the first is taken", stacklevel=2)
        if image.format not in LOCAL_FORMATS:
            return data
        stream = io.BytesIO()
        Image.fromarray(rgb_pixels(image)).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def read_served(path: Path) -> bytes:
    """An image file as a server takes it, by `as_served`.

    Raises:
        InvalidInput: it cannot be read or decoded; names the file.
    """
    try:
        return as_served(path.read_bytes(), str(path))
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    except BadImage as error:
        raise InvalidInput(f"{path}: {error}") from None


def read_pixels(path: Path) -> Pixels:
    """Decode an image file: uint8 (H, W, 3), RGB.

    Raises:
        InvalidInput: it cannot be read or decoded; names the file.
    """
    data = read_served(path)
    try:
        return decode(data)
    except BadImage as error:
        raise InvalidInput(f"{path}: {error}") from None
