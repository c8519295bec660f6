"""Where the joints of a figure are."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from regard.contract.palette import default_palette
from regard.contract.preprocess import Pixels
from regard.contract.results.pictures import rgb

Place = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """The joints of one figure.

    joints: x and y of each, in pixels of the image that was asked about, from its upper left corner.
    confidence: of each joint, from 0 to 1.
    skeleton: pairs of joints that belong together.
    """

    joints: Mapping[str, Place]
    confidence: Mapping[str, float]
    skeleton: tuple[tuple[str, str], ...] = ()

    def overlay(self, image: Image.Image | Pixels, *, least: float = 0.0) -> Image.Image:
        """The joints and their skeleton drawn on the image that they were found in.

        Args:
            image: RGB, of the size that was asked about.
            least: confidence below which a joint is left out.
        """
        drawn = rgb(image).copy()
        pen = ImageDraw.Draw(drawn)
        thick = max(1, round(min(drawn.size) / 64))
        colours = default_palette(len(self.skeleton) + 1)[1:]
        seen = {name: place for name, place in self.joints.items() if self.confidence[name] >= least}
        for (one, other), colour in zip(self.skeleton, colours, strict=True):
            if one in seen and other in seen:
                pen.line((seen[one], seen[other]), fill=colour, width=thick)
        for x, y in seen.values():
            pen.ellipse((x - thick, y - thick, x + thick, y + thick), fill=(255, 255, 255), outline=(0, 0, 0))
        return drawn
