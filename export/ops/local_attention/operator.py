"""LocalAttention: every position gathers the square around it with weights of its own.

    y_bcij = sum_{r,s} weights_{b, c mod G, rk+s, ij} values_{bc, i+r, j+s}

values (B, C, H + k - 1, W + k - 1), weights (B, G, k * k, H, W), k being `window` -> (B, C, H, W). See
`regard.models.parts.footprint_attention`. The body adds up one place of the window after the other, so that
it holds no more than one shifted map.
"""

from onnx import parser

from regard.export.ops.operator import Operator
from regard.models.parts import footprint_attention

BODY = parser.parse_function("""
<domain: "regard", opset_import: ["": 20]>
LocalAttention <window> (values, weights) => (y)
{
    k = Constant <value_int: int = @window> ()
    places = Mul (k, k)
    batch_channels = Shape <end = 2> (values)
    channels = Shape <start = 1, end = 2> (values)
    groups = Shape <start = 1, end = 2> (weights)
    size = Shape <start = 3> (weights)
    batch = Shape <end = 1> (values)
    share = Div (channels, groups)
    mirrored_size = Shape <start = 2> (values)
    apart = Concat <axis = 0> (batch, share, groups, mirrored_size)
    grouped = Reshape <allowzero = 1> (values, apart)
    zero = Constant <value_float = 0.0> ()
    nothing = CastLike (zero, values)
    always = Constant <value = bool {1}> ()
    rows_columns = Constant <value_ints = [3, 4]> ()
    one = Constant <value_ints = [1]> ()
    sum = Loop (places, always, nothing) <body = at (int64 place, bool going, so_far) => (bool go_on, added) {
        go_on = Identity (going)
        row = Div (place, k)
        column = Mod (place, k)
        row_axis = Reshape (row, one)
        column_axis = Reshape (column, one)
        start = Concat <axis = 0> (row_axis, column_axis)
        end = Add (start, size)
        shifted = Slice (grouped, start, end, rows_columns)
        weight = Gather <axis = 2> (weights, place)
        shared = Unsqueeze (weight, one)
        term = Mul (shifted, shared)
        added = Add (so_far, term)
    }>
    shape = Concat <axis = 0> (batch_channels, size)
    y = Reshape <allowzero = 1> (sum, shape)
}
""")

LOCAL_ATTENTION = Operator(footprint_attention.aggregate, BODY)
