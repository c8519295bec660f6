"""The two GPU kernels: right against float64, and their times against PyTorch's and against the floor."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench, Call, Job, Turns, poison
from ceilings import arithmetic_seconds
from figures import Figure
from floors import CrossShape, LocalShape, Shape, floor_seconds
from torch import Tensor

from regard.export.ops import LOCAL_ATTENTION
from regard.models.attention import criss_cross as plain

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# of the largest ||found - expected|| / ||expected||: a few roundings
BOUNDS = {torch.float32: 2e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}
CHECKED = 3  # shapes of each operator, drawn anew in each run
FRACTION, TIMES = 0.7, 3.0  # aims for maps of at least LARGE x LARGE
LARGE = 97
DENSE = 10_000  # positions up to which attention among all of them, masked, is tried as well
SHAPES: tuple[Shape, ...] = (
    LocalShape(8, 64, 8, 7, 97, 97),
    LocalShape(1, 64, 8, 7, 97, 97),
    LocalShape(16, 64, 8, 7, 56, 56),
    LocalShape(4, 128, 16, 7, 128, 128),
    CrossShape(8, 64, 512, 97, 97),
    CrossShape(1, 64, 512, 97, 97),
    CrossShape(4, 64, 512, 128, 128),
)
TINY: tuple[Shape, ...] = (LocalShape(1, 4, 2, 3, 5, 7), CrossShape(1, 3, 5, 4, 6))


def jobs(bench: Bench) -> list[Job]:
    """The checks, then a comparison for each shape and type; quick are the first shapes in float16."""
    made = [Job(f"right: {kind.OPERATOR}", partial(check, kind)) for kind in (LocalShape, CrossShape)]
    for place, shape in enumerate(TINY if bench.rehearsing else SHAPES):
        first = place == 0 or (isinstance(shape, CrossShape) and shape.batch == 8)
        if bench.quick and not (first or bench.rehearsing):
            continue
        types = DTYPES[1:2] if bench.quick else DTYPES if first else DTYPES[:2]
        made += [Job(f"{shape}, {_name(dtype)}", partial(compare, shape, dtype)) for dtype in types]
    return made


def inputs(shape: Shape, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """Random numbers; the weights of local attention sum to one, as a network's do."""

    def drawn(*size: int) -> Tensor:
        return torch.randn(shape.batch, *size, device=device)

    if isinstance(shape, CrossShape):
        size = (shape.height, shape.width)
        made = [drawn(channels, *size) for channels in (shape.depth, shape.depth, shape.channels)]
        made[0] /= shape.depth**0.5
    else:
        margin = shape.side - 1
        made = [
            drawn(shape.channels, shape.height + margin, shape.width + margin),
            drawn(shape.groups, shape.side**2, shape.height, shape.width).softmax(dim=2),
        ]
    return [x.to(dtype) for x in made]


def kernel_of(shape: Shape) -> Callable[..., Tensor]:
    """Ours; imported late, since Triton chooses at its import whether it interprets."""
    if isinstance(shape, CrossShape):
        from regard.export.ops.criss_cross.gpu import criss_cross

        return criss_cross
    from regard.export.ops.local_attention.gpu import local_attention

    return local_attention


def function_of(shape: Shape) -> Callable[..., Tensor]:
    """The same in plain PyTorch."""
    if isinstance(shape, CrossShape):
        return plain.criss_cross
    return partial(LOCAL_ATTENTION.function, window=shape.side)


def check(kind: type[Shape], bench: Bench) -> list[Figure]:
    """Against the definition in float64, on shapes and numbers of this moment."""
    seed = time.time_ns() % 2**31
    chance = np.random.default_rng(seed)
    torch.manual_seed(seed)
    shapes = [_drawn(kind, chance, 9 if bench.rehearsing else 70) for _ in range(CHECKED)]
    figures = []
    for dtype in DTYPES:
        if bench.rehearsing and dtype == torch.bfloat16 and kind is CrossShape:
            continue  # the interpreter's matrix product does not know it
        errors = [_error(shape, dtype, bench) for shape in shapes]
        figures.append(
            Figure(
                f"right: {kind.OPERATOR}, {_name(dtype)}: largest relative error",
                float(torch.tensor(errors).max()),  # NaN stays
                *("", len(shapes), "shapes"),
                target=BOUNDS[dtype],
                details={"seed": seed, "shapes": [str(shape) for shape in shapes], "errors": errors},
            )
        )
    return figures


def _drawn(kind: type[Shape], chance: np.random.Generator, largest: int) -> Shape:
    batch, height, width = _number(chance, 3), _number(chance, largest), _number(chance, largest)
    if kind is CrossShape:
        return CrossShape(batch, _number(chance, 80), _number(chance, 150), height, width)
    groups, share, side = _number(chance, 4), _number(chance, 12), 2 * _number(chance, 4) - 1
    return LocalShape(batch, groups * share, groups, side, height, width)


def _number(chance: np.random.Generator, largest: int) -> int:
    return int(chance.integers(1, largest, endpoint=True))


def _error(shape: Shape, dtype: torch.dtype, bench: Bench) -> float:
    given = inputs(shape, dtype, bench.device)
    expected = function_of(shape)(*(x.double() for x in given))
    poison(expected.to(dtype))
    found = kernel_of(shape)(*given).double()
    return float((found - expected).norm() / expected.norm())


def compare(shape: Shape, dtype: torch.dtype, bench: Bench) -> list[Figure]:
    """Kernel, definition in eager and compiled PyTorch, and what else PyTorch offers."""
    given = inputs(shape, dtype, bench.device)
    return judged(shape, dtype, bench.in_turns(forms(shape, given, bench)), bench)


def judged(shape: Shape, dtype: torch.dtype, turns: Turns, bench: Bench) -> list[Figure]:
    """The kernel's time, its part of the floor, and how often it runs while PyTorch's best does once."""
    own = turns["kernel"]
    others = {form: seconds for form, seconds in turns.seconds.items() if not form.startswith("kernel")}
    best = min(others, key=others.__getitem__)
    title = f"{shape}, {_name(dtype)}"
    floor = floor_seconds(shape, dtype.itemsize, bench.copy)
    details: dict[str, Any] = {
        "seconds": turns.seconds,
        "errors": turns.errors,
        "floor_of_memory": floor,
        "floor_of_products": arithmetic_seconds(bench, shape.operations, dtype),
    }
    large = min(shape.height, shape.width) >= LARGE
    measured = (bench.rounds, "runs")
    return [
        Figure(f"{title}: kernel", own * 1e6, "us", *measured, details=details),
        Figure(
            f"{title}: the floor of its memory over its time",
            *(floor / own, "", *measured),
            target=FRACTION if large else None,
            better="at least",
        ),
        Figure(
            f"{title}: times as fast as PyTorch's best, {best}",
            *(others[best] / own, "", *measured),
            target=TIMES if large else None,
            better="at least",
        ),
    ]


def forms(shape: Shape, given: list[Tensor], bench: Bench) -> dict[str, Call]:
    """What computes the same, by name. Criss-cross attention is tried in both memory formats of a map; the
    names alone mean channels last.
    """
    kernel, function = kernel_of(shape), function_of(shape)
    compiled = bench.compiled(function)
    made: dict[str, Call] = {}
    for kind, tensors in formats(shape, given).items():
        made[f"kernel{kind}"] = partial(kernel, *tensors)
        made[f"eager{kind}"] = partial(function, *tensors)
        made[f"torch.compile{kind}"] = partial(compiled, *tensors)
    if isinstance(shape, LocalShape):
        made["unfold"] = partial(unfolded, *given)
    elif shape.height * shape.width <= DENSE and shape.batch == 1:
        made["SDPA, masked"] = partial(masked, *given, cross_mask(shape, given[0]))
    return made


def formats(shape: Shape, given: list[Tensor]) -> dict[str, list[Tensor]]:
    """The inputs in the memory formats that are tried, by what is added to a form's name."""
    if isinstance(shape, LocalShape):
        return {"": given}
    last = [x.contiguous(memory_format=torch.channels_last) for x in given]
    return {"": last, ", channels first": given}


def unfolded(values: Tensor, weights: Tensor) -> Tensor:
    """Local attention by gathering all footprints first."""
    batch, groups, places, height, width = weights.shape
    side = values.shape[2] - height + 1
    gathered = F.unfold(values, side).view(batch, -1, groups, places, height * width)
    return (gathered * weights.flatten(3)[:, None]).sum(dim=3).view(batch, -1, height, width)


def cross_mask(shape: CrossShape, like: Tensor) -> Tensor:
    """0 where two positions share a row or a column, -inf elsewhere: (H W, H W)."""
    place = torch.arange(shape.height * shape.width, device=like.device)
    row, column = place // shape.width, place % shape.width
    together = (row[:, None] == row) | (column[:, None] == column)
    return torch.zeros_like(together, dtype=like.dtype).masked_fill_(~together, -torch.inf)


def masked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Criss-cross attention as attention among all positions, most of them masked."""
    by_position = [x.flatten(2).transpose(1, 2)[:, None] for x in (q, k, v)]
    answer = F.scaled_dot_product_attention(*by_position, attn_mask=mask, scale=1.0)
    return answer[:, 0].transpose(1, 2).reshape(v.shape)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
