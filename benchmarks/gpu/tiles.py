"""Other tiles of the kernels than those that they come with, which were chosen without a GPU."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from bench import Bench, Call, Job
from figures import Figure
from floors import CrossShape, LocalShape, Shape
from kernels import SHAPES, TINY, formats, inputs, kernel_of

DTYPES = (torch.float16, torch.float32)


def jobs(bench: Bench) -> list[Job]:
    """For the first shape of each operator; none in a hurry."""
    if bench.quick and not bench.rehearsing:
        return []
    cross = next(shape for shape in SHAPES if isinstance(shape, CrossShape))
    shapes = TINY if bench.rehearsing else (SHAPES[0], cross)
    return [
        Job(f"tiles: {shape}, {dtype}".replace("torch.", ""), partial(compare, shape, dtype))
        for shape in shapes
        for dtype in (DTYPES[:1] if bench.rehearsing else DTYPES)
    ]


def compare(shape: Shape, dtype: torch.dtype, bench: Bench) -> list[Figure]:
    """The kernel's own tile against all others."""
    given = formats(shape, inputs(shape, dtype, bench.device))[""]
    kernel = kernel_of(shape)
    forms: dict[str, Call] = {"own": partial(kernel, *given)}
    forms |= {str(options): partial(kernel, *given, **options) for options in candidates(shape)}
    turns = bench.in_turns(forms)
    best = min(turns.seconds, key=turns.seconds.__getitem__)
    return [
        Figure(
            f"tiles: {shape}, {dtype}: own tile's time over that of the best, {best}".replace("torch.", ""),
            *(turns["own"] / turns[best], "", bench.rounds, "runs"),
            details={"seconds": turns.seconds, "errors": turns.errors},
        )
    ]


def candidates(shape: Shape) -> Iterator[dict[str, Any]]:
    """Options of the kernel; each is compiled, in a second or two."""
    if isinstance(shape, LocalShape):
        from regard.export.ops.local_attention.gpu import Tile as LocalTile

        for sizes in ((2, 8, 128), (7, 8, 128), (8, 4, 128), (4, 4, 128), (4, 8, 256), (4, 8, 64)):
            yield {"tile": LocalTile(*sizes)}
        return
    from regard.export.ops.criss_cross.gpu import Tile

    for sizes in ((64, 32, 128, 4), (64, 64, 64, 4), (128, 32, 64, 4), (128, 64, 128, 8), (64, 64, 256, 8)):
        for stages in (2, 3):
            yield {"tile": Tile(*sizes, stages)}
