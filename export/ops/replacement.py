"""What of PyTorch's and the networks' code regard's own operators compute: while a network is traced they
stand in its place, so that each is one node of the graph.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from regard.export.ops.criss_cross.operator import CRISS_CROSS
from regard.export.ops.local_attention.operator import LOCAL_ATTENTION
from regard.export.ops.local_weights.operator import LOCAL_WEIGHTS
from regard.export.ops.warp.operator import WARP, grid_sample
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.local_window import LocalSelfAttention
from regard.models.parts import footprint_attention

plain_cross, plain_window = CrissCrossAttention.context, LocalSelfAttention.context


def cross(module: CrissCrossAttention, x: Tensor) -> Tensor:
    """In place of `CrissCrossAttention.context`, but where its weights are asked for as an explanation."""
    if "weights" in vars(module):
        return plain_cross(module, x)
    return CRISS_CROSS(module.query(x), module.key(x), module.value(x))


def window(module: LocalSelfAttention, x: Tensor) -> Tensor:
    """In place of `LocalSelfAttention.context`, but where its weights are asked for as an explanation."""
    if "weights" in vars(module):
        return plain_window(module, x)
    margins = (module.window // 2,) * 4
    key, value = (F.pad(layer(x), margins) for layer in (module.key, module.value))
    weights = LOCAL_WEIGHTS(module.query(x) * module.scale, key, module.window)
    return LOCAL_ATTENTION(value, weights, module.window)


def sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """In place of F.grid_sample, but for volumes and other modes."""
    if mode != "bilinear" or input.ndim != 4:
        return grid_sample(input, grid, mode, padding_mode, align_corners)
    return WARP(input, grid, padding_mode, bool(align_corners))


REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (footprint_attention, "aggregate", LOCAL_ATTENTION),
    (CrissCrossAttention, "context", cross),
    (LocalSelfAttention, "context", window),
    (F, "grid_sample", sample),
)  # module or class, its function, what stands for it


@contextmanager
def replacing() -> Iterator[None]:
    """While active, networks compute by regard's operators."""
    plain = [getattr(owner, name) for owner, name, _ in REPLACED]
    for owner, name, function in REPLACED:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for (owner, name, _), function in zip(REPLACED, plain, strict=True):
            setattr(owner, name, function)
