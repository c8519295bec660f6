"""Pictures of results: what they are drawn on, and their files."""

from pathlib import Path

import numpy as np
from PIL import Image

from regard.contract.preprocess import Pixels
from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput


def rgb(image: Image.Image | Pixels) -> Image.Image:
    """An image or its pixels, as an RGB image."""
    return (Image.fromarray(image) if isinstance(image, np.ndarray) else image).convert("RGB")


def save_png(image: Image.Image, path: Path) -> Path:
    """Write a PNG to a draft and rename it.

    Raises:
        InvalidInput: the suffix is not .png, or the folder cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InvalidInput(
            "masks and overlays are PNG, which loses nothing; name the file "
            f"{path.with_suffix('.png').name}, not {path.name}"
        )
    with whole_file(path) as draft:
        image.save(draft, format="PNG")
    return path
