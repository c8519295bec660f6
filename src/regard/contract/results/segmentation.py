"""The labels of an image's pixels."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.contract.palette import Colour
from regard.contract.preprocess import Pixels
from regard.contract.results.pictures import rgb, save_png
from regard.contract.rle import Rle, encode
from regard.errors import InvalidInput, UnknownName

CUT_OFF: Colour = (224, 224, 192)  # in masks; PASCAL VOC's colour of pixels without a label


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A class for every pixel of an image that the network saw.

    label_map: uint8 of shape (H, W); the value i stands for labels[i], drawn in palette[i] (RGB, 0 to 255).
        A value beyond the labels stands for pixels that were cut off before the network.
    """

    label_map: Pixels
    labels: tuple[str, ...]
    palette: tuple[Colour, ...]

    @property
    def _cut_off(self) -> npt.NDArray[np.bool_]:
        return self.label_map >= len(self.labels)

    @cached_property
    def area(self) -> dict[str, float]:
        """Each label's fraction of the image, in the labels' order; with what was cut off they make 1."""
        counts = np.bincount(self.label_map.ravel(), minlength=len(self.labels))
        fractions: dict[str, float] = {}
        for label, count in zip(self.labels, counts.tolist(), strict=False):
            fractions[label] = fractions.get(label, 0.0) + count / self.label_map.size
        return fractions

    def mask(self) -> Image.Image:
        """The label map as a palette image: its pixel values are the classes, its colours the palette's."""
        image = Image.fromarray(self.label_map)
        colours = self.palette
        if self._cut_off.any():
            colours += (CUT_OFF,) * (256 - len(colours))
        image.putpalette([channel for colour in colours for channel in colour])
        return image

    def overlay(
        self, image: Image.Image | Pixels, *, alpha: float = 0.5, clear: Collection[str | int] = ()
    ) -> Image.Image:
        """The classes' colours laid over the image they were found in; what was cut off stays clear.

        Args:
            image: RGB, of any size; the label map is stretched to it.
            alpha: weight of the colours, from 0 (the image alone) to 1 (the mask alone).
            clear: classes that leave the image as it is, such as a background: labels, or class numbers.

        Raises:
            InvalidInput: alpha outside [0, 1], or a number of no class.
            UnknownName: a label of no class.
        """
        left_out = [index for each in clear for index in self._classes(each)]
        if not 0 <= alpha <= 1:
            raise InvalidInput(f"alpha must lie between 0 and 1, got {alpha}")
        below = rgb(image)
        hidden = Image.fromarray(self._cut_off | np.isin(self.label_map, left_out))
        above = self.mask()
        if above.size != below.size:
            above, hidden = (layer.resize(below.size, Image.Resampling.NEAREST) for layer in (above, hidden))
        return Image.composite(below, Image.blend(below, above.convert("RGB"), alpha), hidden)

    def _classes(self, named: str | int) -> list[int]:
        """The class numbers of a label, which may be several classes', or of a number."""
        if isinstance(named, int):
            if not 0 <= named < len(self.labels):
                raise InvalidInput(f"the classes are 0 to {len(self.labels) - 1}, got {named}")
            return [named]
        if named not in self.labels:
            raise UnknownName.among("label", named, self.labels)
        return [index for index, label in enumerate(self.labels) if label == named]

    def save(self, path: str | Path) -> Path:
        """Write the mask as a palette PNG, whole or not at all.

        Raises:
            InvalidInput: the suffix is not .png, or the folder cannot be written.
        """
        return save_png(self.mask(), Path(path))

    def to_rle(self) -> dict[str, Rle]:
        """COCO's uncompressed run-length encoding of every class that occurs, by label."""
        classes: dict[str, list[int]] = {}  # a label may name several classes
        for index in np.unique(self.label_map[~self._cut_off]).tolist():
            classes.setdefault(self.labels[index], []).append(index)
        return {label: encode(np.isin(self.label_map, indices)) for label, indices in classes.items()}
