"""CrissCross: every position attends to the positions of its row and its column, itself once.

q and k (B, D, H, W), v (B, C, H, W) -> (B, C, H, W). See `regard.models.attention.criss_cross`. In PyTorch
the answer's channels lie last in memory.
"""

import torch
from onnx import parser
from torch import Tensor

from regard.export.ops.operator import Operator
from regard.models.attention import criss_cross as plain


def criss_cross(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The function, in the memory format that its GPU kernel writes: torch.compile holds both to one."""
    return plain.criss_cross(q, k, v).contiguous(memory_format=torch.channels_last)


BODY = parser.parse_function("""
<domain: "regard", opset_import: ["": 20]>
CrissCross (q, k, v) => (y)
{
    height = Shape <start = 2, end = 3> (q)
    width = Shape <start = 3> (q)
    square = Concat <axis = 0> (height, height)
    zeros = ConstantOfShape (square)
    diagonal = EyeLike (zeros)
    itself = Cast <to = 9> (diagonal)
    least = Constant <value_float = -3.4028234663852886e38> ()
    lowest = CastLike (least, q)

    q_of_columns = Transpose <perm = [0, 3, 2, 1]> (q)
    k_of_columns = Transpose <perm = [0, 3, 1, 2]> (k)
    scores_of_columns = MatMul (q_of_columns, k_of_columns)
    others_of_columns = Where (itself, lowest, scores_of_columns)
    to_column = Transpose <perm = [0, 2, 1, 3]> (others_of_columns)
    q_of_rows = Transpose <perm = [0, 2, 3, 1]> (q)
    k_of_rows = Transpose <perm = [0, 2, 1, 3]> (k)
    to_row = MatMul (q_of_rows, k_of_rows)
    scores = Concat <axis = 3> (to_column, to_row)
    weights = Softmax <axis = 3> (scores)

    sizes = Concat <axis = 0> (height, width)
    column_weights, row_weights = Split <axis = 3> (weights, sizes)
    v_of_columns = Transpose <perm = [0, 3, 1, 2]> (v)
    by_column = Transpose <perm = [0, 2, 3, 1]> (column_weights)
    column_sums = MatMul (v_of_columns, by_column)
    from_column = Transpose <perm = [0, 2, 3, 1]> (column_sums)
    v_of_rows = Transpose <perm = [0, 2, 1, 3]> (v)
    by_row = Transpose <perm = [0, 1, 3, 2]> (row_weights)
    row_sums = MatMul (v_of_rows, by_row)
    from_row = Transpose <perm = [0, 2, 1, 3]> (row_sums)
    y = Add (from_column, from_row)
}
""")

CRISS_CROSS = Operator(criss_cross, BODY)
