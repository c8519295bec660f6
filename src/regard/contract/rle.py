"""Run-length encoding of a mask as COCO writes it, uncompressed.

Pixels are counted down the columns, left to right; `counts` alternates runs of 0 and of 1 and starts with 0,
whose run may be empty. https://cocodataset.org/#format-results
"""

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt


class Rle(TypedDict):
    """size: (height, width). counts: lengths of the runs of 0, 1, 0, ...; their sum is height x width."""

    size: tuple[int, int]
    counts: list[int]


def encode(mask: npt.NDArray[Any]) -> Rle:
    """Encode a boolean mask of shape (H, W)."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": (mask.shape[0], mask.shape[1]), "counts": counts}


def decode(rle: Rle) -> npt.NDArray[np.bool_]:
    """The boolean mask (H, W) of an encoding.

    Raises:
        ValueError: the runs do not fill the size.
    """
    height, width = rle["size"]
    if sum(rle["counts"]) != height * width or min(rle["counts"], default=0) < 0:
        raise ValueError(f"the runs add up to {sum(rle['counts'])} pixels, the size is {height} x {width}")
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape((height, width), order="F")
