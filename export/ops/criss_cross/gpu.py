"""Criss-cross attention on an NVIDIA GPU, in OpenAI Triton's language.

One kernel runs twice: along the columns, where a position leaves itself out, then along the rows, where what
the column gave is mixed in by the logarithms of both sums. Weights never reach memory: a program goes through
the keys of its line and keeps the largest score, the sum and the weighted values of its queries (Milakov &
Gimelshein, 2018, https://arxiv.org/abs/1805.02867). Between the passes the columns' answer lies where the
whole answer will be, beside a float32 for each position.

The map lies in memory with its channels last, so that the positions of a column are read in whole pieces, as
those of a row are. A network in that format pays nothing for it. Products run on the matrix units; float32 in
three products of TF32, which keep its precision. Sums are float32 whatever the type.

All sizes are constants of the kernel, as in local attention: a map of another size is compiled anew, in
seconds.
"""

from typing import Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor


class Tile(NamedTuple):
    """What a program computes: `channels` channels of `queries` positions of a line, from `keys` positions at
    a time. Powers of two; these three at least 16.
    """

    queries: int
    keys: int
    channels: int
    warps: int
    stages: int


def own_tile(dtype: torch.dtype) -> Tile:
    """The tile that the kernel comes with."""
    return Tile(64, 32, 64, 4, 2) if dtype == torch.float32 else Tile(64, 64, 128, 4, 2)


@triton.jit
@no_type_check  # this is Triton's language
def attend_kernel(
    q,  # (B, H, W, D)
    k,  # (B, H, W, D)
    v,  # (B, H, W, C)
    y,  # (B, H, W, C)
    column_log,  # (B, H, W) float32: of the sum of a column's exponentials
    DEPTH: tl.constexpr,  # D
    CHANNELS: tl.constexpr,  # C
    COUNT: tl.constexpr,  # lines of the map
    APART: tl.constexpr,  # positions from one line to the next
    LENGTH: tl.constexpr,  # positions of a line
    STEP: tl.constexpr,  # from one to the next
    SECOND: tl.constexpr,  # the pass along the rows
    TILE_QUERIES: tl.constexpr,
    TILE_KEYS: tl.constexpr,
    TILE_CHANNELS: tl.constexpr,
    TILE_DEPTH: tl.constexpr,
):
    BLOCKS: tl.constexpr = tl.cdiv(LENGTH, TILE_QUERIES)
    first = tl.program_id(1).to(tl.int64) // COUNT * COUNT * LENGTH + tl.program_id(1) % COUNT * APART
    q += first * DEPTH
    k += first * DEPTH
    v += first * CHANNELS
    y += first * CHANNELS
    column_log += first
    query = tl.program_id(0) % BLOCKS * TILE_QUERIES + tl.arange(0, TILE_QUERIES)[:, None]
    channel = tl.program_id(0) // BLOCKS * TILE_CHANNELS + tl.arange(0, TILE_CHANNELS)[None, :]

    largest = tl.full([TILE_QUERIES, 1], -3.4e38, tl.float32)
    total = tl.zeros([TILE_QUERIES, 1], tl.float32)
    sums = tl.zeros([TILE_QUERIES, TILE_CHANNELS], tl.float32)
    for first_key in range(0, LENGTH, TILE_KEYS):
        position = first_key + tl.arange(0, TILE_KEYS)[:, None]
        scores = tl.zeros([TILE_QUERIES, TILE_KEYS], tl.float32)
        for first_feature in range(0, DEPTH, TILE_DEPTH):
            feature = first_feature + tl.arange(0, TILE_DEPTH)[None, :]
            there = (query < LENGTH) & (feature < DEPTH)
            queries = tl.load(q + query * STEP * DEPTH + feature, there, 0.0)
            there = (position < LENGTH) & (feature < DEPTH)
            keys = tl.load(k + position * STEP * DEPTH + feature, there, 0.0)
            scores += tl.dot(queries, keys.T, input_precision="tf32x3")
        key = first_key + tl.arange(0, TILE_KEYS)[None, :]
        counts = key < LENGTH
        if not SECOND:
            counts = counts & (key != query)  # itself counts in its row
        larger = tl.maximum(largest, tl.max(tl.where(counts, scores, -3.4e38), 1, keep_dims=True))
        weights = tl.where(counts, tl.exp(scores - larger), 0.0)
        kept = tl.exp(largest - larger)
        there = (position < LENGTH) & (channel < CHANNELS)
        values = tl.load(v + position * STEP * CHANNELS + channel, there, 0.0)
        total = total * kept + tl.sum(weights, 1, keep_dims=True)
        sums = sums * kept + tl.dot(weights.to(values.dtype), values, input_precision="tf32x3")
        largest = larger

    answer = sums / tl.where(total > 0.0, total, 1.0)
    log = largest + tl.log(total)  # -inf in a column of one position
    there = (query < LENGTH) & (channel < CHANNELS)
    target = y + query * STEP * CHANNELS + channel
    if SECOND:
        other_log = tl.load(column_log + query * STEP, query < LENGTH, 0.0)
        share = 1.0 / (1.0 + tl.exp(other_log - log))  # of the row in the sum of all
        answer = answer * share + tl.load(target, there, 0.0).to(tl.float32) * (1.0 - share)
    else:
        tl.store(column_log + query * STEP, log, query < LENGTH)
    tl.store(target, answer.to(y.dtype.element_ty), there)


def criss_cross(q: Tensor, k: Tensor, v: Tensor, tile: Tile | None = None) -> Tensor:
    """Criss-cross attention of float32, float16 or bfloat16, all of one type and on one device.

    Shape: (B, D, H, W), (B, D, H, W), (B, C, H, W) -> (B, C, H, W), in memory with the channels last.

    Args:
        q: queries; their products with keys are not scaled.
        k: keys.
        v: values.
        tile: what a program computes, `own_tile` if None.

    Raises:
        ValueError: the shapes do not fit; the kernel would read elsewhere.
    """
    if q.shape != k.shape or (v.shape[0], *v.shape[2:]) != (q.shape[0], *q.shape[2:]):
        raise ValueError(
            "q and k must be (B, D, H, W) and v (B, C, H, W), got "
            f"{tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    q, k, v = (x.permute(0, 2, 3, 1).contiguous() for x in (q, k, v))  # no copy where the channels are last
    batch, height, width, depth = q.shape
    channels = v.shape[3]
    y = torch.empty_like(v)
    column_log = torch.empty((batch, height, width), dtype=torch.float32, device=v.device)
    tile = tile or own_tile(v.dtype)
    passes = (
        {"COUNT": width, "APART": 1, "LENGTH": height, "STEP": width, "SECOND": False},
        {"COUNT": height, "APART": width, "LENGTH": width, "STEP": 1, "SECOND": True},
    )
    kernel: Any = attend_kernel
    with torch.cuda.device_of(v):
        for sizes in passes if y.numel() else ():
            blocks = triton.cdiv(sizes["LENGTH"], tile.queries) * triton.cdiv(channels, tile.channels)
            kernel[blocks, batch * sizes["COUNT"]](
                *(q, k, v, y, column_log),
                DEPTH=depth,
                CHANNELS=channels,
                **sizes,
                TILE_QUERIES=tile.queries,
                TILE_KEYS=tile.keys,
                TILE_CHANNELS=tile.channels,
                TILE_DEPTH=min(max(triton.next_power_of_2(depth), 16), 64),
                num_warps=tile.warps,
                num_stages=tile.stages,
                enable_fp_fusion=True,
            )
    return y.permute(0, 3, 1, 2)
