"""The way back of `regard.contract.preprocess.fit`: what a network says of the pixels it was given, laid over
the image that they were taken from.
"""

import numpy as np
import numpy.typing as npt

from regard.contract.preprocess import Pixels, seen


def place(label_map: Pixels, size: tuple[int, int], *, resize: str, crop: float, unseen: int) -> Pixels:
    """The label map (H, W) of an image: each pixel's label is the one nearest to it.

    Args:
        label_map: uint8 (height, width), of what `fit` made of the image with this `resize` and `crop`.
        size: H and W of the image, upright.
        unseen: the value of pixels that a crop left out.
    """
    if resize == "none" or (label_map.shape == size and (resize == "stretch" or crop == 1)):
        return label_map
    height, width = label_map.shape
    left, top, right, bottom = seen(*size, resize=resize, height=height, width=width, crop=crop)
    down, rows = _nearest(size[0], top, bottom, height)
    across, columns = _nearest(size[1], left, right, width)
    placed = np.full(size, unseen, label_map.dtype)
    placed[down, across] = label_map.take(rows, axis=0).take(columns, axis=1)
    return placed


def _nearest(length: int, start: float, end: float, count: int) -> tuple[slice, npt.NDArray[np.intp]]:
    """Which of `length` pixels lie between start and end, and for each of them which of the `count` equal
    parts of that stretch its centre is in.
    """
    part = np.floor((np.arange(length) + 0.5 - start) / (end - start) * count).astype(np.intp)
    first, last = np.searchsorted(part, (0, count))
    return slice(first, last), part[first:last]
