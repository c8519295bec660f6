"""Places in a map, and crops at places that depend on the data.

A crop is one GridSample over an affine grid: exact, differentiable in the box's corners, and exported as it
stands. Coordinates are pixels from the image's corner: pixel i covers [i, i + 1]. A box of whole pixels,
cropped to its own size, is the slice; to another size, the slice resized bilinearly (align_corners=False).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop(x: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop boxes out of each image and resize them.

    Shape: x (B, C, H, W), boxes (B, R, 4) or (1, R, 4) as left, top, right, bottom in pixels ->
    (B, R, C, *size).
    """
    rows, columns = size
    boxes = boxes.to(x.dtype).expand(x.shape[0], -1, -1)
    left, top, right, bottom = boxes.unbind(dim=2)  # (B, R)
    # (B, R, columns), -1 and 1 are the image's edges
    across = _sampled(left, right, columns) * 2 / x.shape[3] - 1
    down = _sampled(top, bottom, rows) * 2 / x.shape[2] - 1  # (B, R, rows)
    grid = torch.stack(
        [across.unsqueeze(2).expand(-1, -1, rows, -1), down.unsqueeze(3).expand(-1, -1, -1, columns)], dim=4
    )
    # The crops lie one below the other, so that the image is not repeated for each.
    # (B, C, R rows, columns)
    crops = F.grid_sample(x, grid.flatten(1, 2), mode="bilinear", padding_mode="border", align_corners=False)
    return crops.unflatten(2, (boxes.shape[1], rows)).transpose(1, 2)


def _sampled(start: Tensor, end: Tensor, count: int) -> Tensor:
    """`count` evenly spaced points of each interval: (B, R) -> (B, R, count). None reaches beyond the
    interval's outermost pixels.
    """
    start, end = start.unsqueeze(2), end.unsqueeze(2)
    steps = (torch.arange(count, dtype=start.dtype, device=start.device) + 0.5) / count
    return torch.minimum(torch.maximum(start + (end - start) * steps, start + 0.5), end - 0.5)


def peaks(maps: Tensor) -> Tensor:
    """Column and row of each map's largest value, the first of equals: (B, N, H, W) -> integers (B, N, 2)."""
    return cells(maps.flatten(2).argmax(dim=2), maps.shape[3])


def cells(index: Tensor, width: int) -> Tensor:
    """Column and row of positions counted row by row in a map of this width: integers (B, N) -> (B, N, 2)."""
    return torch.stack([index % width, torch.div(index, width, rounding_mode="floor")], dim=2)


def squares(centres: Tensor, side: float, *, width: int, height: int) -> Tensor:
    """Boxes of one side around centres (x, y), moved inside the image where they reach beyond: (B, R, 2) ->
    (B, R, 4).
    """
    limit = centres.new_tensor([width - side, height - side])
    corner = torch.minimum((centres - side / 2).clamp(min=0), limit)
    return torch.cat([corner, corner + side], dim=2)
