"""An image that a network drew."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from regard.contract.preprocess import Pixels
from regard.contract.results.pictures import save_png


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What the network makes of what it saw.

    pixels: uint8 of shape (H, W, channels): RGB or grey.
    """

    pixels: Pixels

    def image(self) -> Image.Image:
        """The pixels as an image."""
        return Image.fromarray(self.pixels.squeeze(2) if self.pixels.shape[2] == 1 else self.pixels)

    def save(self, path: str | Path) -> Path:
        """Write a PNG, whole or not at all.

        Raises:
            InvalidInput: the suffix is not .png, or the folder cannot be written.
        """
        return save_png(self.image(), Path(path))
