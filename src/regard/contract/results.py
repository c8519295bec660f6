"""What a prediction is, in the user's terms."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from regard.contract.palette import Colour
from regard.contract.preprocess import Pixels
from regard.contract.rle import Rle, encode
from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput


@dataclass(frozen=True)
class Classification:
    """The likeliest class of an image, and the runners-up.

    top: (label, probability) pairs, likeliest first; its first is `label` and `probability`.
    labels: those that apply: the likeliest where labels exclude each other; else all that reach their
        threshold, likeliest first, which may be none.
    """

    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A class for every pixel of an image.

    label_map: uint8 of shape (H, W); the value i stands for labels[i], drawn in palette[i] (RGB, 0 to 255).
    """

    label_map: Pixels
    labels: tuple[str, ...]
    palette: tuple[Colour, ...]

    @cached_property
    def area(self) -> dict[str, float]:
        """Each label's fraction of the pixels, in the labels' order; they add up to 1."""
        counts = np.bincount(self.label_map.ravel(), minlength=len(self.labels))
        fractions: dict[str, float] = {}
        for label, count in zip(self.labels, counts.tolist(), strict=True):
            fractions[label] = fractions.get(label, 0.0) + count / self.label_map.size
        return fractions

    def mask(self) -> Image.Image:
        """The label map as a palette image: its pixel values are the classes, its colours the palette's."""
        image = Image.fromarray(self.label_map)
        image.putpalette([channel for colour in self.palette for channel in colour])
        return image

    def overlay(self, image: Image.Image | Pixels, *, alpha: float = 0.5) -> Image.Image:
        """The classes' colours laid over the image they were found in.

        Args:
            image: RGB, of any size; the label map is stretched to it.
            alpha: weight of the colours, from 0 (the image alone) to 1 (the mask alone).

        Raises:
            InvalidInput: alpha outside [0, 1].
        """
        if not 0 <= alpha <= 1:
            raise InvalidInput(f"alpha must lie between 0 and 1, got {alpha}")
        below = (Image.fromarray(image) if isinstance(image, np.ndarray) else image).convert("RGB")
        above = self.mask()
        if above.size != below.size:
            above = above.resize(below.size, Image.Resampling.NEAREST)
        return Image.blend(below, above.convert("RGB"), alpha)

    def save(self, path: str | Path) -> Path:
        """Write the mask as a palette PNG, whole or not at all.

        Raises:
            InvalidInput: the suffix is not .png, or the folder cannot be written.
        """
        return save_png(self.mask(), Path(path))

    def to_rle(self) -> dict[str, Rle]:
        """COCO's uncompressed run-length encoding of every class that occurs, by label."""
        classes: dict[str, list[int]] = {}  # a label may name several classes
        for index in np.unique(self.label_map).tolist():
            classes.setdefault(self.labels[index], []).append(index)
        return {label: encode(np.isin(self.label_map, indices)) for label, indices in classes.items()}


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
