"""How images become a network's input: what one image and several frames share."""

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from regard.contract.heat_map import Box, HeatMap
from regard.contract.input_kind import Array, InputKind, batch_fault
from regard.contract.placement import place
from regard.contract.preprocess import Pixels, decode_and_fit, fit, seen
from regard.contract.record import Finite, Fraction

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FITTING = ("resize", "height", "width", "interpolation", "crop", "channels")


class PixelsInput(InputKind):
    """The contract of an input that is an image, or frames of one size.

    The served graph takes uint8 pixels (..., height, width, channels), RGB or grey, and computes
    (pixels / 255 - mean) / std itself.
    """

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    kind: Any  # each kind's own; named here so that it stays first in the JSON
    height: int = Field(gt=0, description="rows the network was trained at, and takes unless dynamic_size")
    width: int = Field(gt=0, description="columns, likewise")
    resize: Literal["stretch", "center_crop", "none"] = Field(
        description="see regard.contract.preprocess.fit"
    )
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop: Fraction = 1.0
    channels: Literal[3, 1] = Field(default=3, description="3: RGB. 1: its grey, ITU-R BT.601's luma")
    mean: tuple[Finite, ...] = Field(default=IMAGENET_MEAN, description="of each channel, in 0 to 1")
    std: tuple[Finite, ...] = Field(default=IMAGENET_STD, description="likewise")
    dynamic_size: bool = Field(default=False, description="any height and width from min_size to max_size")
    min_size: int = Field(default=32, gt=0)
    max_size: int = Field(default=2048, gt=0)
    pad_to: int = Field(
        default=1,
        gt=0,
        description="stride of a segmenter: the normalized image is continued by 0 below and to the right up "
        "to a multiple of it, and the answer is cut back",
    )
    max_batch: int = Field(default=16, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "PixelsInput":
        if self.dynamic_size != (self.resize == "none"):
            raise ValueError("resize must be 'none' exactly where dynamic_size is true")
        smaller, larger = sorted((self.height, self.width))
        if self.dynamic_size and not self.min_size <= smaller <= larger <= self.max_size:
            raise ValueError("height and width must lie between min_size and max_size")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                default = "" if name in self.model_fields_set else ", ImageNet's by default: give your own"
                raise ValueError(f"{name} has {len(values)} values for {self.channels} channels{default}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        return self

    @property
    def tensor(self) -> str:
        return str(self.kind)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the served graph takes, -1 where any will do."""
        return (-1, -1) if self.dynamic_size else (self.height, self.width)

    def fit(self, pixels: Pixels) -> Pixels:
        """Bring RGB pixels (H, W, 3) to what the served graph takes, (height, width, channels), by
        `regard.contract.preprocess.fit`.
        """
        return fit(pixels, **self._fitting())

    def place(self, label_map: Pixels, size: tuple[int, int], *, unseen: int) -> Pixels:
        """Bring the label map of fitted pixels (height, width) back to the image's `size` (H, W), by
        `regard.contract.placement.place`.
        """
        return place(label_map, size, resize=self.resize, crop=self.crop, unseen=unseen)

    def heat_map(self, values: npt.NDArray[np.float32], size: tuple[int, int]) -> HeatMap:
        """A heat map (height, width) of fitted pixels, as one of the image of `size` (H, W)."""
        return HeatMap(values, self.box(size))

    def box(self, size: tuple[int, int]) -> Box:
        """What part of an image of `size` (H, W) the network sees: left, top, right and bottom, from 0 to
        1.
        """
        rows, columns = size
        left, top, right, bottom = seen(
            rows, columns, resize=self.resize, height=self.height, width=self.width, crop=self.crop
        )
        return left / columns, top / rows, right / columns, bottom / rows

    def decode_and_fit(self, encoded: bytes) -> Pixels:
        """An image file as the pixels that the served graph takes; read-only.

        Raises:
            BadImage: as of `regard.contract.preprocess.decode`.
        """
        return decode_and_fit(encoded, **self._fitting())

    def fault(self, batch: Array) -> str | None:
        dims = self.dims
        if batch.dtype != self.dtype or batch.ndim != len(dims) + 1:
            return f"takes uint8 pixels (batch, {', '.join(map(str, dims))}), got {batch.dtype} {batch.shape}"
        if any(want not in (-1, got) for want, got in zip(dims, batch.shape[1:], strict=True)):
            return f"takes pixels (batch, {', '.join(map(str, dims))}), got {batch.shape}"
        sides = batch.shape[-3:-1]
        if self.dynamic_size and not self.min_size <= min(sides) <= max(sides) <= self.max_size:
            return f"takes sides of {self.min_size} to {self.max_size} pixels, got {sides[0]} x {sides[1]}"
        return batch_fault(batch, self.max_batch)

    def _fitting(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FITTING}
