"""Run the GPU kernels in Triton's interpreter, which the environment chooses when a process starts. Prints
the relative errors against the operators' own functions in float64, by operator and type.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from regard.export.ops import CRISS_CROSS, LOCAL_ATTENTION
from regard.export.ops.criss_cross.gpu import Tile, criss_cross
from regard.export.ops.local_attention.gpu import local_attention

# batch, channels, groups, footprint, height, width: odd, flatter than a tile, one position, nothing
LOCAL = ((2, 6, 2, 3, 5, 7), (1, 3, 3, 5, 3, 9), (1, 10, 1, 7, 1, 3), (1, 22, 2, 1, 9, 1), (0, 2, 1, 3, 4, 4))
# batch, depth, channels, height, width: more than one block of each, a column, a row, one position, nothing
CROSS = (
    (2, 3, 5, 7, 4),
    (1, 70, 33, 3, 19),
    (1, 4, 8, 19, 1),
    (1, 5, 3, 1, 9),
    (1, 2, 2, 1, 1),
    (0, 2, 2, 3, 3),
)
TILE = Tile(16, 16, 16, 4, 1)

Case = tuple[list[Tensor], Callable[..., Tensor], Callable[..., Tensor]]


def main() -> None:
    torch.manual_seed(0)
    errors = defaultdict(list)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for title, (inputs, kernel, reference) in cases().items():
            if dtype == torch.bfloat16 and title.startswith("criss_cross"):
                continue  # the interpreter's matrix product does not know it
            given = [x.to(dtype) for x in inputs]
            found, expected = kernel(*given), reference(*(x.double() for x in given))
            assert (found.dtype, found.shape) == (dtype, expected.shape), title
            assert strides(found) == strides(expected), f"{title}: torch.compile expects the function's"
            if found.numel():
                error = (found.double() - expected).norm() / expected.norm()
                errors[f"{title.split()[0]} {dtype}".replace("torch.", "")].append(error.item())
    json.dump(errors, sys.stdout)


def strides(x: Tensor) -> list[int]:
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1 and x.numel()]


def cases() -> dict[str, Case]:
    made: dict[str, Case] = {}
    for b, c, g, k, h, w in LOCAL:
        inputs = [torch.randn(b, c, h + k - 1, w + k - 1), torch.randn(b, g, k * k, h, w)]
        made[f"local_attention {len(made)}"] = (
            inputs,
            local_attention,
            lambda *x, k=k: LOCAL_ATTENTION.function(*x, k),
        )
    for b, d, c, h, w in CROSS:
        inputs = [4 * torch.randn(b, channels, h, w) for channels in (d, d, c)]
        made[f"criss_cross {len(made)}"] = (inputs, criss_cross, CRISS_CROSS.function)
    # channels last in memory already, and several tiles in both passes
    inputs = [torch.randn(1, 18, 21, channels).permute(0, 3, 1, 2) for channels in (5, 5, 20)]
    made["criss_cross channels_last"] = (
        inputs,
        lambda *x: criss_cross(*x, tile=TILE),
        CRISS_CROSS.function,
    )
    return made


if __name__ == "__main__":
    main()
