"""The glimpse sensor of recurrent attention: patches around one place, sharp near it and coarse further off.

Mnih, Heess, Graves & Kavukcuoglu, "Recurrent Models of Visual Attention", NIPS 2014, section 3.1.
https://arxiv.org/abs/1406.6247

    rho(x, l) = patches of side g, 2g, 4g, ... around l, each brought to side g; 0 beyond the image's edge

Places are (x, y) with the image's centre at (0, 0), its left upper corner at (-1, -1) and its right lower one
at (1, 1). A patch lies on whole pixels: it is cut, by a Pad and two GatherElements in the exported graph, and
interpolated nowhere.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def glimpse(x: Tensor, place: Tensor, size: int, scales: int = 1) -> Tensor:
    """The patches of side size, 2 size, 4 size, ... around a place of each image, all brought to `size` by
    averages over whole pixels.

    Shape: x (B, C, H, W), place (B, 2) in -1..1 -> (B, scales C, size, size), for any H and W.
    """
    widest = size << (scales - 1)
    margin = (widest + 1) // 2
    padded = F.pad(x, (margin, margin, margin, margin))
    column = _pixel(place[:, :1], x.shape[3]) + margin  # (B, 1)
    row = _pixel(place[:, 1:], x.shape[2]) + margin
    patches = []
    for scale in range(scales):
        side = size << scale
        steps = torch.arange(side, device=x.device) - side // 2
        rows = (row + steps)[:, None, :, None].expand(-1, x.shape[1], -1, padded.shape[3])
        columns = (column + steps)[:, None, None, :].expand(-1, x.shape[1], side, -1)
        patches.append(F.avg_pool2d(padded.gather(2, rows).gather(3, columns), 1 << scale))
    return torch.cat(patches, dim=1)


def glimpse_boxes(places: Tensor, size: int, *, width: int, height: int) -> Tensor:
    """What the sharpest patch covers, as fractions left, top, right, bottom of an image, below 0 and above 1
    beyond its edge: places (B, T, 2) -> (B, T, 4).
    """
    left = _pixel(places[:, :, 0], width) - size // 2
    top = _pixel(places[:, :, 1], height) - size // 2
    edges = (left / width, top / height, (left + size) / width, (top + size) / height)
    return torch.stack(edges, dim=2)


def _pixel(position: Tensor, length: int) -> Tensor:
    """The pixel that holds a position in -1..1 along an axis, as an integer; `length` at its very end."""
    return ((position + 1) / 2 * length).floor().long()
