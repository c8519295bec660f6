"""Motion that is made up, so that the flow between two pictures is known exactly.

    M = zoom(p) * (p - focus) + shift + wobble(p)      the camera drives, and near things move more than far
    M = M + another shift                              inside a blob that moves by itself

A picture and the same picture read by M are a pair whose flow is M. Fields are drawn smooth and small, then
enlarged; only a blob has an edge.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH = (4, 5)  # cells of a smooth field
ZOOM, SHIFT, WOBBLE, BLOB_SHIFT = 0.06, 8.0, 3.0, 10.0  # scales: of the side, and pixels


def made_up_motion(count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
    """Flows in pixels, to the right and down, each of its own strength: (count, 2, *size)."""
    height, width = size

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=random)

    def smooth(channels: int) -> Tensor:
        return F.interpolate(normal(channels, *SMOOTH), size=size, mode="bicubic", align_corners=True)

    rows = torch.linspace(-0.5, 0.5, height)[:, None].expand(size) * height
    columns = torch.linspace(-0.5, 0.5, width).expand(size) * width
    from_focus = torch.stack([columns, rows]) - 0.1 * width * normal(2, 1, 1)
    zoom = ZOOM * normal(1, 1, 1) * (0.7 * smooth(1)).exp()
    camera = zoom * from_focus + SHIFT * normal(2, 1, 1) * torch.tensor([1.0, 0.4])[:, None, None]
    blob = (smooth(1) > 1) * BLOB_SHIFT * normal(2, 1, 1)
    strength = torch.rand((count, 1, 1, 1), generator=random) * 1.6
    return strength * (camera + WOBBLE * smooth(2) + blob)
