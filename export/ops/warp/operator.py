"""Warp: a map read bilinearly at the positions of a grid; spatial transformers and crops are made of it.

x (B, C, H, W), grid (B, h, w, 2) as (x, y) from -1 to 1 -> (B, C, h, w), as F.grid_sample has it.

Where a position is no number, infinite or of 2^31 and more, the body departs: ONNX Runtime's GridSample reads
some place of the map, or 0, where PyTorch answers NaN or reads another place. The kernel does as PyTorch.
"""

import torch.nn.functional as F
from onnx import parser
from torch import Tensor

from regard.export.ops.operator import Operator

grid_sample = F.grid_sample  # itself, also while the operator stands in its place


def warp(x: Tensor, grid: Tensor, padding_mode: str, align_corners: bool) -> Tensor:
    """F.grid_sample, bilinear."""
    return grid_sample(x, grid, mode="bilinear", padding_mode=padding_mode, align_corners=align_corners)


BODY = parser.parse_function("""
<domain: "regard", opset_import: ["": 20]>
Warp <padding_mode, align_corners> (x, grid) => (y)
{
    y = GridSample <
        mode = "linear", padding_mode: string = @padding_mode, align_corners: int = @align_corners
    > (x, grid)
}
""")

WARP = Operator(warp, BODY)
