"""Which files of a folder are images, and their pixels."""

from pathlib import Path

from regard.contract.preprocess import BadImage, Pixels, decode
from regard.errors import InvalidInput

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")  # in any letter case


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, sorted by name.

    Raises:
        InvalidInput: no such folder, or it holds none.
    """
    is_folder = folder.is_dir()
    entries = sorted(folder.iterdir()) if is_folder else []
    found = [path for path in entries if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise InvalidInput(
            f"no images ({', '.join(SUFFIXES)}) in {folder}{'' if is_folder else ', which is no folder'}; "
            "name a folder that holds some"
        )
    return found


def read_pixels(path: Path) -> Pixels:
    """Decode an image file: uint8 (H, W, 3), RGB.

    Raises:
        InvalidInput: it cannot be read or decoded; names the file.
    """
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    except BadImage as error:
        raise InvalidInput(f"{path}: {error}") from None
