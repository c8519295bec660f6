"""Images that a certificate tries: alone and in batches, at every kind of size that the Card allows; only the
first batch is traced.

                batch   a fixed size        a dynamic size
    first       2       real images         real images, at the Card's size
    alone       1       a real image        a real image, at the smallest size
    many        6       a real image and    the same, at an odd size, which no stride divides
                        the made ones
    tallest     1       -                   a real image, at the greatest height
    widest      1       -                   a real image, at the greatest width

The made images (`MADE`) fire what no photograph may: a branch for darkness, a mask that hides everything.
The tallest and the widest have as many pixels as the first batch at most, so that a proof costs about as much
at any Card: attention costs the square of an image's pixels. Where the limits leave it, both are the largest
size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from regard.contract.answers.kind import Array
from regard.contract.frames_input import FramesInput
from regard.contract.pixels_input import PixelsInput
from regard.contract.preprocess import Pixels, fit
from regard.errors import InvalidInput
from regard.export.proof.trial import TRACED, Shape

STEP = 2  # pixels that a moving image moves by from frame to frame


def _flat(*colour: int) -> Callable[[int, int], Pixels]:
    return lambda height, width: np.full((height, width, 3), colour, np.uint8)


def _halves(height: int, width: int) -> Pixels:
    """Black on the left, white on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    return image


def _noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# kind -> image of a height and width
MADE: dict[str, Callable[[int, int], Pixels]] = {
    "a black image": _flat(0, 0, 0),
    "a white image": _flat(255, 255, 255),
    "a red image": _flat(255, 0, 0),
    "a half black, half white image": _halves,
    "noise": _noise,
}
BATCHES = (TRACED, 1, 1 + len(MADE))  # of the trials that every Card gets
# of height and width, for the odd size; smaller, as its batch is the largest
ODD_ZOOM = (0.7, 0.6)


def pixel_batches(images: Sequence[Pixels], contract: PixelsInput) -> Iterator[tuple[Array, list[str]]]:
    """The input of each trial, and what each of its rows is.

    Args:
        images: real ones, of any size.
        contract: what is taken; frames are an image that moves.

    Raises:
        InvalidInput: no images, or a dynamic size that leaves one size only.
    """
    if not images:
        raise InvalidInput("a certificate needs real images, and there are none; give at least one image")
    for shape in trial_shapes(contract):
        made = MADE if shape.batch == BATCHES[-1] else {}
        sizes = size_of(shape)
        real = image_batch(images, replace(shape, batch=shape.batch - len(made)), contract)
        batch = np.stack([*real, *(made_image(kind, sizes, contract) for kind in made)])
        if isinstance(contract, FramesInput):
            batch = np.stack([moving(image, contract.frames) for image in batch])
        yield batch, [*(f"real image {index}" for index in range(1, len(real) + 1)), *made]


def moving(image: Pixels, frames: int) -> Pixels:
    """An image that moves to the right, and comes in again on the left: (frames, H, W, C)."""
    return np.stack([np.roll(image, STEP * frame, axis=1) for frame in range(frames)])


def size_of(shape: Shape) -> tuple[int, int]:
    """Height and width, of a shape that has both."""
    assert shape.height is not None
    assert shape.width is not None
    return shape.height, shape.width


def made_image(kind: str, size: tuple[int, int], contract: PixelsInput) -> Pixels:
    """One of MADE, (height, width, channels)."""
    height, width = size
    return contract.model_copy(update={"height": height, "width": width}).fit(MADE[kind](height, width))


def trial_shapes(contract: PixelsInput) -> tuple[Shape, ...]:
    """One shape for each of BATCHES, at the Card's size; where that is dynamic, at the Card's, the smallest
    and an odd one, and one image each at the greatest height and width.

    Raises:
        InvalidInput: a dynamic size that leaves one size only.
    """
    height, width = contract.height, contract.width
    if not contract.dynamic_size:
        return tuple(Shape(batch, height, width) for batch in BATCHES)
    least, greatest = contract.min_size, contract.max_size
    if least == greatest:
        raise InvalidInput(
            f"min_size {least} and max_size {greatest} leave one size only; unset dynamic_size"
        )
    odd_height, odd_width = (
        _odd(side * zoom, contract) for side, zoom in zip((height, width), ODD_ZOOM, strict=True)
    )
    other = min(max(TRACED * height * width // greatest, least), greatest)
    sizes = ((height, width), (least, least), (odd_height, odd_width))
    extremes = dict.fromkeys([(greatest, other), (other, greatest)])  # one where they are square
    return tuple(
        Shape(batch, *size)
        for batch, size in [*zip(BATCHES, sizes, strict=True), *((1, size) for size in extremes)]
    )


def _odd(size: float, contract: PixelsInput) -> int:
    """The odd number near `size`, which no stride divides, within limits that hold one."""
    least, greatest = contract.min_size | 1, (contract.max_size - 1) | 1
    return min(max(round(size) | 1, least), greatest)


def image_batch(images: Sequence[Pixels], shape: Shape, contract: PixelsInput) -> Pixels:
    """The first images, over again where there are too few, brought to one size:
    (batch, height, width, 3).
    """
    resize = "stretch" if contract.dynamic_size else contract.resize
    height, width = size_of(shape)
    return np.stack(
        [
            fit(
                images[index % len(images)],
                resize=resize,
                height=height,
                width=width,
                interpolation=contract.interpolation,
                crop=contract.crop,
                channels=contract.channels,
            )
            for index in range(shape.batch)
        ]
    )
