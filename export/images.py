"""Images from a folder, for a certificate."""

from pathlib import Path

from regard.errors import InvalidInput
from regard.models.preprocess import BadImage, Pixels, decode

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_images(folder: Path, count: int) -> list[Pixels]:
    """The first `count` images of a folder by file name, uint8 (H, W, 3) each.

    Raises:
        InvalidInput: no such folder, none in it, or one that cannot be decoded.
    """
    if not folder.is_dir():
        raise InvalidInput(f"no folder {folder}; name one with images ({', '.join(SUFFIXES)})")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:count]
    if not paths:
        raise InvalidInput(f"no images ({', '.join(SUFFIXES)}) in {folder}")
    images = []
    for path in paths:
        try:
            images.append(decode(path.read_bytes()))
        except BadImage as error:
            raise InvalidInput(f"{path}: {error}") from None
    return images
