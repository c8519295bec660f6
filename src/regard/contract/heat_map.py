"""Where in an image the network sees its class, as a picture."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right and bottom, from 0 to 1
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each place of an image speaks for its likeliest class.

    values: float32 (height, width) over what the network saw, as served: above 0 for the class, below against
        it; in the scale of the network's logits.
    box: what part of the image the network saw: left, top, right and bottom, from 0 to 1.
    """

    values: npt.NDArray[np.float32]
    box: Box = WHOLE

    def overlay(self, image: Image.Image | Pixels, *, alpha: float = 0.6) -> Image.Image:
        """The warm places laid over the image: clear at 0 and below, by way of red to yellow at the maximum.

        Args:
            image: RGB, of any size, uncropped and upright.
            alpha: weight of the colour at the maximum, from 0 to 1.

        Raises:
            InvalidInput: alpha outside [0, 1].
        """
        if not 0 <= alpha <= 1:
            raise InvalidInput(f"alpha must lie between 0 and 1, got {alpha}")
        below = (Image.fromarray(image) if isinstance(image, np.ndarray) else image).convert("RGB")
        heat = self._placed(below.size)[..., None]  # (H, W, 1), from 0 to 1
        colour = np.concatenate([np.full_like(heat, 255), 255 * heat, np.zeros_like(heat)], axis=2)
        mixed = np.asarray(below) * (1 - alpha * heat) + colour * (alpha * heat)
        return Image.fromarray(mixed.round().astype(np.uint8))

    def _placed(self, size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """What speaks for the class, over its maximum: (H, W) for an image of this width and height; 0 where
        the network saw nothing.
        """
        warm = self.values.clip(min=0)
        warm = warm / max(float(warm.max(initial=0)), np.finfo(np.float32).tiny)
        sides = zip(self.box, size * 2, strict=True)
        left, top, right, bottom = (round(side * length) for side, length in sides)
        seen = Image.fromarray(warm.astype(np.float32)).resize(
            (max(right - left, 1), max(bottom - top, 1)), Image.Resampling.BILINEAR
        )
        placed = Image.new("F", size)
        placed.paste(seen, (left, top))
        return np.asarray(placed)
