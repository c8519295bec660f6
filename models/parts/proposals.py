"""Candidate boxes, and sums of a map over them.

The papers take candidates from selective search, which no graph holds. Here they are a fixed grid over
several scales. Boxes are left, top, right, bottom as fractions of the image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Box = tuple[float, float, float, float]


def grid_boxes(scales: Sequence[tuple[float, int]]) -> tuple[Box, ...]:
    """For each (side, steps), squares of that side at steps x steps evenly spaced places, in the order given,
    row by row.
    """
    boxes = []
    for side, steps in scales:
        if not 0 < side <= 1 or steps < 1:
            raise ValueError(f"a scale must be a side in (0, 1] and at least 1 step, got {side} and {steps}")
        starts = [(1 - side) * (step / (steps - 1) if steps > 1 else 0.5) for step in range(steps)]
        boxes += [(left, top, left + side, top + side) for top in starts for left in starts]
    return tuple(boxes)


def check_boxes(boxes: Sequence[Sequence[float]]) -> tuple[Box, ...]:
    """The boxes as tuples, or a ValueError naming the first that is none inside the image."""
    if not boxes:
        raise ValueError("boxes must hold at least one box, got none")
    for box in boxes:
        if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise ValueError(
                f"a box must be left < right and top < bottom as fractions in 0..1, got {list(box)}"
            )
    return tuple((box[0], box[1], box[2], box[3]) for box in boxes)


def pixels(boxes: Tensor, x: Tensor) -> Tensor:
    """Fractions as pixels of the image batch x: (..., 4) -> (..., 4)."""
    height, width = x.shape[2:]
    return boxes * boxes.new_tensor([width, height, width, height])


def coverage(start: Tensor, end: Tensor, cells: int) -> Tensor:
    """How much of each of `cells` equal cells of [0, 1] an interval covers, in 0..1: (R,), (R,) ->
    (R, cells).
    """
    edges = torch.arange(cells, dtype=start.dtype, device=start.device)
    overlap = torch.minimum(end[:, None] * cells, edges + 1) - torch.maximum(start[:, None] * cells, edges)
    return overlap.clamp(min=0)


def box_sums(maps: Tensor, boxes: Tensor) -> Tensor:
    """Sum of each map over each box, a cell counting for the part of it that is inside: (B, h, w), (R, 4) ->
    (B, R).
    """
    rows = coverage(boxes[:, 1], boxes[:, 3], maps.shape[1])  # (R, h)
    columns = coverage(boxes[:, 0], boxes[:, 2], maps.shape[2])  # (R, w)
    return (torch.matmul(rows, maps) * columns).sum(dim=2)
