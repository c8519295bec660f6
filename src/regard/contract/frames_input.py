"""An input that is a few frames of a video."""

from typing import Literal

from pydantic import Field

from regard.contract.pixels_input import PixelsInput


class FramesInput(PixelsInput):
    """So many frames of one size, in their order: uint8 pixels (B, frames, height, width, channels), see
    `PixelsInput`.
    """

    kind: Literal["frames"] = "frames"
    frames: int = Field(gt=0, description="how many go in at once")

    @property
    def dims(self) -> tuple[int, ...]:
        return self.frames, *self.size, self.channels
