"""How some PyTorch operators are written in ONNX where the exporter's own translation is wrong or clumsy.

scaled_dot_product_attention   softmax(scale q k^T + mask) v, three nodes instead of twenty-five, for inputs
                               of any rank, and 0 instead of NaN for a query whose mask hides every key
adaptive_avg_pool2d            P_h x P_w^T with averaging matrices computed from the run-time size; the
                               exporter's own form silently keeps
                               the size that was traced. 1-D adaptive pooling and interpolate(mode="area")
                               come through here too.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import opset20 as op

BOOL = 9  # onnx.TensorProto.BOOL
Value = Any  # a value of the graph under construction: onnxscript's SymbolicTensor


def scaled_dot_product_attention(
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """softmax(scale q k^T + mask) v: (..., L, D), (..., S, D), (..., S, V) -> (..., L, V), and 0 for a query
    whose mask hides every key, as all of PyTorch's kernels have it; dropout is off in evaluation.
    """
    if enable_gqa:
        raise NotImplementedError(
            "scaled_dot_product_attention with enable_gqa=True; repeat the heads of key and value before it"
        )
    rank, depth = len(key.shape), query.shape[-1]
    if scale is None and not isinstance(depth, int):
        raise NotImplementedError(
            f"scaled_dot_product_attention over a dynamic depth {depth}; give it scale="
        )
    transposed = op.Transpose(key, perm=[*range(rank - 2), rank - 1, rank - 2])  # (..., D, S)
    # (..., L, S)
    scores = op.MatMul(op.Mul(query, 1 / math.sqrt(depth) if scale is None else scale), transposed)
    if is_causal:
        square = op.Shape(scores, start=rank - 2)  # L, S
        visible = op.Trilu(op.Expand(op.Constant(value_int=1), square), upper=0)
        scores = op.Where(
            op.Cast(visible, to=BOOL), scores, op.CastLike(op.Constant(value_float=-math.inf), scores)
        )
    if attn_mask is None:
        return op.MatMul(op.Softmax(scores, axis=-1), value)
    takes_part = attn_mask.dtype == BOOL  # bool: True takes part; else it is added, and -inf hides
    if takes_part:
        scores = op.Where(attn_mask, scores, op.CastLike(op.Constant(value_float=-math.inf), scores))
    else:
        scores = op.Add(scores, attn_mask)
    hidden = op.CastLike(op.Constant(value_float=0.0 if takes_part else -math.inf), query)
    most_visible = op.ReduceMax(op.CastLike(attn_mask, query), op.Constant(value_ints=[-1]), keepdims=1)
    zero = op.CastLike(op.Constant(value_float=0.0), query)
    attended = op.MatMul(op.Softmax(scores, axis=-1), value)
    return op.Where(op.Equal(most_visible, hidden), zero, attended)  # NaN of a NaN in the scores stays


def adaptive_avg_pool2d(x: Value, output_size: Sequence[Value]) -> Value:
    """P_h x P_w^T: (..., H, W) -> (..., *output_size), whatever H and W are at run time."""
    if list(output_size) == [1, 1]:
        return op.ReduceMean(x, op.Constant(value_ints=[-2, -1]), keepdims=1)
    rows, columns = (_averaging(x, axis, size) for axis, size in zip((-2, -1), output_size, strict=True))
    return op.MatMul(op.MatMul(rows, x), op.Transpose(columns, perm=[1, 0]))


def _averaging(x: Value, axis: int, bins: Value) -> Value:
    """Matrix (bins, size) whose row i is 1 / (end_i - start_i) from start_i = floor(i size / bins) to end_i =
    ceil((i + 1) size / bins).
    """
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    axes = op.Constant(value_ints=[axis + len(x.shape)])
    size = op.Squeeze(op.Gather(op.Shape(x), axes))
    if isinstance(bins, int):
        bins = op.Constant(value_int=bins)
    i = op.Unsqueeze(op.Range(zero, bins, one), op.Constant(value_ints=[1]))  # (bins, 1)
    start = op.Div(op.Mul(i, size), bins)
    end = op.Div(op.Sub(op.Add(op.Mul(op.Add(i, one), size), bins), one), bins)
    position = op.Range(zero, size, one)  # (size,)
    inside = op.And(op.GreaterOrEqual(position, start), op.Less(position, end))  # (bins, size)
    return op.Div(op.CastLike(inside, x), op.CastLike(op.Sub(end, start), x))


Translations = dict[Callable[..., Any], Callable[..., Any]]
TRANSLATIONS: Translations = {
    torch.ops.aten.scaled_dot_product_attention.default: scaled_dot_product_attention,
    torch.ops.aten.adaptive_avg_pool2d.default: adaptive_avg_pool2d,
}
