"""LocalWeights: how much each position attends to the square around it, from queries and keys.

    y_{b,0,rk+s,ij} = softmax_{r,s} q_{b:ij} . k_{b:,i+r,j+s}

q (B, D, H, W), k (B, D, H + k - 1, W + k - 1), k being `window`, odd -> (B, 1, k * k, H, W), the weights that
LocalAttention takes. The margin of the keys lies outside the map: whatever is in it weighs 0. See
`regard.models.attention.local_window`. The body shapes what its loop gathers, which onnx's reference
evaluator joins where a runtime stacks it.
"""

import torch
import torch.nn.functional as F
from onnx import parser
from torch import Tensor

from regard.export.ops.operator import Operator
from regard.models.parts.footprint_attention import shifts


def local_weights(q: Tensor, k: Tensor, window: int) -> Tensor:
    """Softmax of each query's products with the keys around it."""
    scores = torch.stack([(q * shift).sum(dim=1) for shift in shifts(k, window)], dim=1)
    inside = F.pad(torch.ones(q.shape[2:], dtype=torch.bool, device=q.device), (window // 2,) * 4)
    seen = torch.stack(shifts(inside, window))  # (k * k, H, W)
    return scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(dim=1)[:, None]


BODY = parser.parse_function("""
<domain: "regard", opset_import: ["": 20]>
LocalWeights <window> (q, k) => (y)
{
    side = Constant <value_int: int = @window> ()
    places = Mul (side, side)
    size = Shape <start = 2> (q)
    one = Constant <value_ints = [1]> ()
    two = Constant <value_int = 2> ()
    half = Div (side, two)
    margin = Reshape (half, one)
    margins = Concat <axis = 0> (margin, margin, margin, margin)
    map = ConstantOfShape <value = bool[1] {1}> (size)
    inside = Pad (map, margins)
    least = Constant <value_float = -3.4028234663852886e38> ()
    lowest = CastLike (least, q)
    always = Constant <value = bool {1}> ()
    first_two = Constant <value_ints = [0, 1]> ()
    last_two = Constant <value_ints = [2, 3]> ()
    gone_through = Loop (places, always) <body = at (int64 place, bool going) => (bool go_on, counted) {
        go_on = Identity (going)
        row = Div (place, side)
        column = Mod (place, side)
        row_axis = Reshape (row, one)
        column_axis = Reshape (column, one)
        start = Concat <axis = 0> (row_axis, column_axis)
        end = Add (start, size)
        shifted = Slice (k, start, end, last_two)
        products = Mul (q, shifted)
        score = ReduceSum <keepdims = 0> (products, one)
        seen = Slice (inside, start, end, first_two)
        counted = Where (seen, score, lowest)
    }>
    count = Reshape (places, one)
    batch = Shape <end = 1> (q)
    by_place = Concat <axis = 0> (count, batch, size)
    scores = Reshape <allowzero = 1> (gone_through, by_place)
    weights = Softmax <axis = 0> (scores)
    batch_first = Transpose <perm = [1, 0, 2, 3]> (weights)
    y = Unsqueeze (batch_first, one)
}
""")

LOCAL_WEIGHTS = Operator(local_weights, BODY)
