"""What a certificate tries: real images at several batch sizes and sizes, of which only the first is
traced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regard.contract.image_input import ImageInput
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels, fit
from regard.errors import InvalidInput

BATCHES = (2, 1, 3)  # the first is traced
# of height and width, for sizes that are not traced
ZOOMS = ((0.7, 0.6), (1.15, 0.8), (0.85, 1.3), (1.4, 1.4))


@dataclass(frozen=True)
class Shape:
    """Of an image batch (batch, height, width, 3)."""

    batch: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"batch {self.batch} of {self.height} x {self.width}"


@dataclass(frozen=True)
class Trial:
    """One batch of real images (B, H, W, 3), and whether the candidate was made with a batch of this size."""

    shape: Shape
    image: Pixels
    traced: bool

    @property
    def inputs(self) -> dict[str, Pixels]:
        """The batch by its name."""
        return {IMAGE: self.image}


def trials_of(
    images: Sequence[Pixels], contract: ImageInput, *, traced: int | None = BATCHES[0]
) -> tuple[Trial, ...]:
    """The trials of a certificate.

    Args:
        images: real ones, of any size.
        contract: what is taken.
        traced: the batch that the candidate was made with; None where there was none.

    Raises:
        InvalidInput: no images, or a dynamic size that leaves no second size to try.
    """
    if not images:
        raise InvalidInput("a certificate needs real images, and there are none; give at least one image")
    return tuple(
        Trial(shape, image_batch(images, shape, contract), traced=shape.batch == traced)
        for shape in trial_shapes(contract)
    )


def trial_shapes(contract: ImageInput) -> tuple[Shape, ...]:
    """One shape for each of BATCHES, at the Card's size; where that is dynamic, at three sizes.

    Raises:
        InvalidInput: a dynamic size that leaves no second size to try.
    """
    sizes = [(contract.height, contract.width)]
    if contract.dynamic_size:
        for zoom_height, zoom_width in ZOOMS:
            size = _odd(contract.height * zoom_height, contract), _odd(contract.width * zoom_width, contract)
            if size not in sizes:
                sizes.append(size)
        if len(sizes) == 1:
            raise InvalidInput(
                f"min_size {contract.min_size} and max_size {contract.max_size} leave one size only; unset "
                "dynamic_size"
            )
    return tuple(Shape(batch, *sizes[min(index, len(sizes) - 1)]) for index, batch in enumerate(BATCHES))


def _odd(size: float, contract: ImageInput) -> int:
    """An odd number near `size`, which no stride divides, within the contract's limits."""
    return min(max(round(size) | 1, contract.min_size), contract.max_size)


def image_batch(images: Sequence[Pixels], shape: Shape, contract: ImageInput) -> Pixels:
    """The first images, over again where there are too few, brought to one size:
    (batch, height, width, 3).
    """
    resize = "stretch" if contract.dynamic_size else contract.resize
    return np.stack(
        [
            fit(
                images[index % len(images)],
                resize=resize,
                height=shape.height,
                width=shape.width,
                interpolation=contract.interpolation,
                crop=contract.crop,
                channels=contract.channels,
            )
            for index in range(shape.batch)
        ]
    )
