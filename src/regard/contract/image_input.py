"""An input that is one image."""

from typing import Literal

from regard.contract.pixels_input import PixelsInput


class ImageInput(PixelsInput):
    """An image: uint8 pixels (B, height, width, channels), see `PixelsInput`."""

    kind: Literal["image"] = "image"

    @property
    def dims(self) -> tuple[int, ...]:
        return *self.size, self.channels
