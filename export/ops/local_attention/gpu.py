"""Local attention on an NVIDIA GPU, in OpenAI Triton's language.

    y[b, c, i, j] = sum_{r, s} weights[b, c mod G, r k + s, i, j] * values[b, c, i + r, j + s]

What has to move are the weights, k * k of them for each position and group; everything else is small beside
them. So each weight is read once and serves several channels of its group while it is in a register, and a
lane computes several positions below one another, which share most values of a column of the footprint. Sums
are float32 whatever the type.

The sizes of the map are constants of the kernel: every address is then a lane's base and a number, without
which the addresses alone fill the registers. A map of another size is compiled anew, once, in seconds.
"""

from typing import Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor


class Tile(NamedTuple):
    """What a program computes: `lanes` times `rows` positions below one another, for `channels` channels of a
    group, at most. A lane keeps rows x channels sums in its registers.
    """

    rows: int = 4
    channels: int = 8
    lanes: int = 128


TILE = Tile()


@triton.jit
@no_type_check  # this is Triton's language
def local_attention_kernel(
    values,  # (B, GROUPS * SHARE, HEIGHT + SIDE - 1, WIDTH + SIDE - 1)
    weights,  # (B, GROUPS, SIDE * SIDE, HEIGHT, WIDTH)
    out,  # (B, GROUPS * SHARE, HEIGHT, WIDTH)
    GROUPS: tl.constexpr,
    SHARE: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    SIDE: tl.constexpr,
    ROWS: tl.constexpr,  # at most HEIGHT
    CHANNELS: tl.constexpr,  # divides SHARE
    LANES: tl.constexpr,
):
    # Nothing is masked: the last lanes and the last rows repeat others instead, and write the same again.
    lane = tl.program_id(1) * LANES + tl.arange(0, LANES)
    lane = tl.minimum(lane, tl.cdiv(HEIGHT, ROWS) * WIDTH - 1)
    top, column = tl.minimum(lane // WIDTH * ROWS, HEIGHT - ROWS), lane % WIDTH
    # programs of the same weights are neighbours, and find them in the cache
    batch, group = tl.program_id(2) // GROUPS, tl.program_id(2) % GROUPS
    channel = (batch * SHARE + tl.program_id(0) * CHANNELS) * GROUPS + group  # the next one is GROUPS further

    PLANE: tl.constexpr = HEIGHT * WIDTH
    SEEN_WIDTH: tl.constexpr = WIDTH + SIDE - 1
    SEEN_PLANE: tl.constexpr = (HEIGHT + SIDE - 1) * SEEN_WIDTH
    values += channel.to(tl.int64) * SEEN_PLANE + (top * SEEN_WIDTH + column)
    weights += tl.program_id(2).to(tl.int64) * (SIDE * SIDE * PLANE) + (top * WIDTH + column)
    out += channel.to(tl.int64) * PLANE + (top * WIDTH + column)

    sums = ()
    for _ in tl.static_range(ROWS * CHANNELS):
        sums += (tl.zeros([LANES], tl.float32),)
    for across in range(SIDE):
        for below in tl.static_range(ROWS + SIDE - 1):
            seen = ()
            for number in tl.static_range(CHANNELS):
                value = tl.load(values + number * GROUPS * SEEN_PLANE + below * SEEN_WIDTH + across)
                seen += (value.to(tl.float32),)
            grown = ()
            for row in tl.static_range(ROWS):
                if row <= below and below < row + SIDE:
                    source = weights + ((below - row) * SIDE + across) * PLANE + row * WIDTH
                    weight = tl.load(source, eviction_policy="evict_first").to(tl.float32)
                    for number in tl.static_range(CHANNELS):
                        grown += (sums[row * CHANNELS + number] + weight * seen[number],)
                else:
                    for number in tl.static_range(CHANNELS):
                        grown += (sums[row * CHANNELS + number],)
            sums = grown
    for row in tl.static_range(ROWS):
        for number in tl.static_range(CHANNELS):
            total = sums[row * CHANNELS + number].to(out.dtype.element_ty)
            tl.store(out + number * GROUPS * PLANE + row * WIDTH, total)


def local_attention(values: Tensor, weights: Tensor, tile: Tile = TILE) -> Tensor:
    """Local attention of float32, float16 or bfloat16, both of one type and on one device.

    Shape: (B, C, H + k - 1, W + k - 1), (B, G, k * k, H, W) -> (B, C, H, W); G divides C.

    Args:
        values: what is gathered, with a margin of half a footprint.
        weights: for each position those of its footprint, row by row; channel c takes group c mod G.
        tile: what a program computes.

    Raises:
        ValueError: the shapes do not fit; the kernel would read elsewhere.
    """
    batch, channels = values.shape[:2]
    groups, _, height, width = weights.shape[1:]
    side = values.shape[2] - height + 1
    if (
        not groups
        or channels % groups
        or values.shape[3] != width + side - 1
        or weights.shape != (batch, groups, side * side, height, width)
    ):
        raise ValueError(
            "values must be (B, C, H + k - 1, W + k - 1) and weights (B, G, k * k, H, W), G dividing C, got "
            f"{tuple(values.shape)} and {tuple(weights.shape)}"
        )
    out = values.new_empty(batch, channels, height, width)
    if not out.numel():
        return out
    rows, share = min(tile.rows, height), channels // groups
    together = next(number for number in range(min(tile.channels, share), 0, -1) if share % number == 0)
    blocks = triton.cdiv(triton.cdiv(height, rows) * width, tile.lanes)
    kernel: Any = local_attention_kernel
    with torch.cuda.device_of(values):
        kernel[share // together, blocks, batch * groups](
            values.contiguous(),
            weights.contiguous(),
            out,
            GROUPS=groups,
            SHARE=share,
            HEIGHT=height,
            WIDTH=width,
            SIDE=side,
            ROWS=rows,
            CHANNELS=together,
            LANES=tile.lanes,
            num_warps=tile.lanes // 32,
            enable_fp_fusion=True,
        )
    return out
