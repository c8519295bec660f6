"""The frames of a video, in order: a folder of images, or an animated GIF, PNG or WebP file."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, ImageSequence, UnidentifiedImageError

from regard.contract import preprocess
from regard.contract.image_files import images_in
from regard.contract.preprocess import BadImage, Pixels
from regard.errors import InvalidInput

ANIMATED = ("GIF", "PNG", "WEBP")
CONTAINERS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm")


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder in the order of the numbers in their names: frame_2 before frame_10.

    Raises:
        InvalidInput: no such folder, or it holds none.
    """
    return in_order(images_in(folder))


def frames_of(video: Path) -> Iterator[Path | Pixels]:
    """Each frame of a folder, as its file, or of an animated file, as RGB pixels (H, W, 3).

    Raises:
        InvalidInput: neither; of other videos with how to make a folder.
    """
    if video.is_dir():
        yield from frame_files(video)
        return
    if video.suffix.lower() in CONTAINERS:
        raise InvalidInput(
            f"{video} holds encoded video, which is not decoded here: make a folder of its frames, such as "
            f"by ffmpeg -i {video.name} frames/%06d.png, and name the folder"
        )
    try:
        with Image.open(video, formats=ANIMATED) as file:
            preprocess.check_size(file.height, file.width)
            for frame in ImageSequence.Iterator(file):
                yield preprocess.rgb_pixels(frame)
    except (OSError, UnidentifiedImageError, BadImage) as error:
        raise InvalidInput(f"{video}: no frames can be read ({error}); name a folder of images") from None


def is_video(path: Path) -> bool:
    """Whether a file holds several frames, or is a video of a kind that is not decoded here."""
    if path.suffix.lower() in CONTAINERS:
        return True
    try:
        with Image.open(path, formats=ANIMATED) as file:
            return getattr(file, "n_frames", 1) > 1
    except (OSError, UnidentifiedImageError):
        return False


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files sorted by the numbers in their names."""
    return sorted(files, key=_by_numbers)


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """The name's pieces, those of digits by their number."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", path.name)]
