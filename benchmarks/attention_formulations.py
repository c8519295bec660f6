"""Attention mechanisms over the best other formulation of the same equations in plain PyTorch, and how their
memory grows.

Time: all formulations of a mechanism, once checked to give equal answers, run in turn on one thread; counted
is processor time, and the
figure is the median over the rounds of the module's time over that of the alternative with the least median
time.

Memory: a fresh process for each mechanism, in which large allocations go back to the system at once, runs it
on square maps of 64
channels; counted is the process's peak above what it held before. The figure is the exponent e of bytes ~
positions^e, by least squares over the maps. Criss-cross weights alone are (H + W) numbers a position, e = 1.5
on a square map.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from harness import Figure, console, run
from torch import Tensor, nn

from regard.models.attention import ATTENTION
from regard.models.attention.augmented_conv import AugmentedConv
from regard.models.attention.cgnl import CGNL
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.local_window import LocalSelfAttention
from regard.models.parts.footprint_attention import PairwiseAttention, shifts

NOISE = 1.05  # two runs of the same code differ by less, on a quiet machine
SIDES = (32, 48, 64, 80)
# largest exponent
GROWTH = {
    "cca": 1.5,
    "cgnl": 1.1,
    "external_attention": 1.1,
    "local": 1.1,
    "nonlocal_embedded_gaussian": None,
}

Formulation = Callable[[nn.Module, Tensor], Tensor]


def criss_cross_einsum(m: CrissCrossAttention, x: Tensor) -> Tensor:
    height = x.shape[2]
    for _ in range(m.recurrence):
        q, k, v = m.query(x), m.key(x), m.value(x)
        column = torch.einsum("bchw,bcgw->bhwg", q, k)
        column = column.masked_fill(torch.eye(height, dtype=torch.bool)[:, None], -math.inf)
        a = torch.cat([column, torch.einsum("bchw,bchg->bhwg", q, k)], dim=3).softmax(dim=3)
        y = torch.einsum("bhwg,bcgw->bchw", a[..., :height], v) + torch.einsum(
            "bhwg,bchg->bchw", a[..., height:], v
        )
        x = m.gamma * y + x
    return x


def criss_cross_bmm(m: CrissCrossAttention, x: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    mask = torch.diag(torch.full((height,), -math.inf))
    for _ in range(m.recurrence):
        q, k, v = m.query(x), m.key(x), m.value(x)
        by_column = [t.permute(0, 3, 1, 2).flatten(0, 1) for t in (q, k, v)]  # (B W, C, H)
        by_row = [t.permute(0, 2, 1, 3).flatten(0, 1) for t in (q, k, v)]  # (B H, C, W)
        column = torch.bmm(by_column[0].transpose(1, 2), by_column[1]) + mask
        row = torch.bmm(by_row[0].transpose(1, 2), by_row[1])
        column = column.view(batch, width, height, height).transpose(1, 2)
        a = torch.cat([column, row.view(batch, height, width, width)], dim=3).softmax(dim=3)
        to_column = a[..., :height].transpose(1, 2).flatten(0, 1)  # (B W, H, H)
        to_row = a[..., height:].flatten(0, 1)
        from_column = (
            torch.bmm(by_column[2], to_column.transpose(1, 2))
            .view(batch, width, -1, height)
            .permute(0, 2, 3, 1)
        )
        from_row = (
            torch.bmm(by_row[2], to_row.transpose(1, 2)).view(batch, height, -1, width).permute(0, 2, 1, 3)
        )
        x = m.gamma * (from_column + from_row) + x
    return x


def padded(m: LocalSelfAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, and keys, values and what to add to the scores, all with a margin of half a window."""
    margin = (m.window // 2,) * 4
    outside = F.pad(x.new_zeros(1, 1, *x.shape[2:]), margin, value=torch.finfo(x.dtype).min)
    return m.query(x) * m.scale, F.pad(m.key(x), margin), F.pad(m.value(x), margin), outside


def local_slices(m: LocalSelfAttention, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    q, k, v, outside = padded(m, x)
    views = [(slice(i, i + height), slice(j, j + width)) for i, j in product(range(m.window), repeat=2)]
    scores = [(q * k[:, :, i, j]).sum(dim=1, keepdim=True) + outside[:, :, i, j] for i, j in views]
    a = torch.cat(scores, dim=1).softmax(dim=1)
    y = torch.zeros_like(x)
    for index, (i, j) in enumerate(views):
        y = torch.addcmul(y, a[:, index : index + 1], v[:, :, i, j])
    return m.gamma * y + x


def local_unfold(m: LocalSelfAttention, x: Tensor) -> Tensor:
    q, k, v, outside = padded(m, x)
    batch, size = x.shape[0], m.window**2
    keys, values = (
        F.unfold(k, m.window).view(batch, -1, size, q[0, 0].numel()),
        F.unfold(v, m.window).view(batch, -1, size, q[0, 0].numel()),
    )
    scores = (q.flatten(2).unsqueeze(2) * keys).sum(dim=1) + F.unfold(outside, m.window)
    return m.gamma * (scores.softmax(dim=1).unsqueeze(1) * values).sum(dim=2).view_as(x) + x


def cgnl_by_group(m: CGNL, x: Tensor) -> Tensor:
    parts = []
    for theta, phi, g in zip(
        *(embed(x).chunk(m.groups, dim=1) for embed in (m.theta, m.phi, m.g)), strict=True
    ):
        weight = torch.bmm(phi.flatten(1).unsqueeze(1), g.flatten(1).unsqueeze(2))
        parts.append(torch.bmm(weight, theta.flatten(1).unsqueeze(1)).view_as(theta))
    return m.norm(m.project(torch.cat(parts, dim=1))) + x


def cgnl_elementwise(m: CGNL, x: Tensor) -> Tensor:
    theta, phi, g = (embed(x).unflatten(1, (m.groups, -1)) for embed in (m.theta, m.phi, m.g))
    y = theta * (phi * g).sum(dim=(2, 3, 4), keepdim=True)
    return m.norm(m.project(y.flatten(1, 2))) + x


def cgnl_one_embedding(m: CGNL, x: Tensor) -> Tensor:
    embedded = F.conv2d(x, torch.cat([m.theta.weight, m.phi.weight, m.g.weight]))
    theta, phi, g = embedded.flatten(2).unflatten(1, (3, m.groups, -1)).flatten(3).unbind(dim=1)
    y = theta * torch.einsum("bgn,bgn->bg", phi, g).unsqueeze(2)
    return m.norm(m.project(y.reshape(x.shape[0], -1, *x.shape[2:]))) + x


def san_unfold(m: PairwiseAttention, x: Tensor) -> Tensor:
    weights, margin = m.weights(x), (m.footprint // 2,) * 4
    values = F.unfold(F.pad(m.value(x), margin, mode="reflect"), m.footprint)
    values = values.view(x.shape[0], -1, weights.shape[1], m.footprint**2, *x.shape[2:])
    return (weights.unsqueeze(1) * values).sum(dim=3).flatten(1, 2)


def san_stacked(m: PairwiseAttention, x: Tensor) -> Tensor:
    values = torch.stack(shifts(m.mirrored(m.value(x)), m.footprint), dim=2).unflatten(1, (-1, m.groups))
    return torch.einsum("bgkhw,bsgkhw->bsghw", m.weights(x), values).flatten(1, 2)


def skewed(logits: Tensor) -> Tensor:
    """From offsets 1 - n ... n - 1 to positions: (..., n, 2 n - 1) -> (..., n, n), by padding and reshaping
    as in the paper's listing.
    """
    n = logits.shape[-2]
    flat = F.pad(F.pad(logits, (0, 1)).flatten(-2), (0, n - 1))
    return flat.unflatten(-1, (n + 1, 2 * n - 1))[..., :n, n - 1 :]


def relative_logits(m: AugmentedConv, x: Tensor, q: Tensor) -> Tensor:
    """By the paper's listing: (B, heads, HW, HW)."""
    height, width = x.shape[2:]
    zero = m.max_size - 1
    grid = q.unflatten(2, (height, width))
    # (B, heads, H, W, W)
    columns = skewed(torch.matmul(grid, m.column_offsets[zero + 1 - width : zero + width].T))
    # (..., W, H)
    rows = skewed(
        torch.matmul(grid.transpose(2, 3), m.row_offsets[zero + 1 - height : zero + height].T)
    ).transpose(2, 3)
    return (rows[..., :, None] + columns[..., None, :]).flatten(4).flatten(2, 3)


def augmented(
    m: AugmentedConv, x: Tensor, attend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    split = [
        embed(x).flatten(2).unflatten(1, (m.heads, -1)).transpose(2, 3) for embed in (m.query, m.key, m.value)
    ]
    q, k, v = split[0] * m.key_channels**-0.5, *split[1:]
    y = attend(q, k, v, relative_logits(m, x, q)).transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:])
    assert m.conv is not None
    return torch.cat([m.conv(x), m.project(y)], dim=1)


def augmented_skewed(m: AugmentedConv, x: Tensor) -> Tensor:
    return augmented(
        m,
        x,
        lambda q, k, v, relative: torch.matmul(
            (torch.matmul(q, k.transpose(2, 3)) + relative).softmax(dim=3), v
        ),
    )


def augmented_sdpa(m: AugmentedConv, x: Tensor) -> Tensor:
    return augmented(
        m, x, lambda q, k, v, relative: F.scaled_dot_product_attention(q, k, v, attn_mask=relative, scale=1.0)
    )


# module, its input, and the alternatives
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Sequence[Formulation]]] = {
    "criss-cross 512x60x60": (
        lambda: CrissCrossAttention(512, recurrence=1),
        (1, 512, 60, 60),
        (criss_cross_einsum, criss_cross_bmm),
    ),
    "local 7x7, 256x28x28": (lambda: LocalSelfAttention(256), (1, 256, 28, 28), (local_slices, local_unfold)),
    "local 7x7, 64x56x56": (lambda: LocalSelfAttention(64), (1, 64, 56, 56), (local_slices, local_unfold)),
    "CGNL 1024x14x14": (
        lambda: CGNL(1024),
        (1, 1024, 14, 14),
        (cgnl_by_group, cgnl_elementwise, cgnl_one_embedding),
    ),
    "CGNL 256x56x56": (
        lambda: CGNL(256),
        (1, 256, 56, 56),
        (cgnl_by_group, cgnl_elementwise, cgnl_one_embedding),
    ),
    "SAN pairwise 7x7, 256x28x28": (
        lambda: PairwiseAttention(256),
        (1, 256, 28, 28),
        (san_unfold, san_stacked),
    ),
    "augmented convolution 256x14x14": (
        lambda: AugmentedConv(256),
        (1, 256, 14, 14),
        (augmented_skewed, augmented_sdpa),
    ),
}


def times(module: nn.Module, x: Tensor, others: Sequence[Formulation], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of each formulation in each round, in turn; the first round does not
    count.
    """
    formulations = {"module": lambda m, x: m(x)} | {other.__name__: other for other in others}
    taken: dict[str, list[float]] = {name: [] for name in formulations}
    with torch.inference_mode():
        expected = module(x)
        for name, formulation in formulations.items():
            error = (formulation(module, x) - expected).abs().max() / expected.abs().max()
            assert error < 1e-4, f"{name} departs by {error}"
        for index in range(rounds):
            names = list(formulations)
            for name in names[index % len(names) :] + names[: index % len(names)]:
                start = time.process_time()
                formulations[name](module, x)
                taken[name].append(time.process_time() - start)
    return taken


def speed(name: str, quick: bool) -> Figure:
    build, shape, others = CASES[name]
    torch.manual_seed(0)
    module = build().eval()
    with torch.no_grad():
        for parameter in module.parameters():  # gates that start at 0 would hide what is behind them
            parameter.add_(0.02 * torch.randn(parameter.shape))
    shape = (*shape[:2], 14, 14) if quick else shape
    rounds = 3 if quick else 15
    taken = times(module, torch.randn(shape), others, rounds)
    medians = {formulation: 1000 * statistics.median(seconds) for formulation, seconds in taken.items()}
    best = min((other.__name__ for other in others), key=medians.__getitem__)
    ratio = statistics.median(
        mine / theirs for mine, theirs in zip(taken["module"], taken[best], strict=True)
    )
    return Figure(
        f"{name}: time over that of {best}",
        ratio,
        "",
        rounds,
        "rounds",
        target=NOISE,
        details={"milliseconds": medians},
    )


def peaks(mechanism: str, sides: Sequence[int]) -> list[int]:
    """Bytes at the peak of one pass above those before it, for square maps; measured in this process, see
    `memory`.
    """
    torch.set_num_threads(1)
    module = ATTENTION[mechanism].build(64).eval()
    found = []
    with torch.inference_mode():
        module(torch.zeros(1, 64, 16, 16))  # what is set up once
        for side in sides:
            x = torch.zeros(1, 64, side, side)
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
            before = _status("VmRSS")
            module(x)
            found.append(_status("VmHWM") - before)
    return found


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def memory(mechanism: str, quick: bool) -> Figure:
    sides = SIDES[:3] if quick else SIDES
    arguments = [sys.executable, __file__, "--peaks", mechanism, *map(str, sides)]
    at_once = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}
    answer = subprocess.run(
        arguments, env=os.environ | at_once, capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(answer)
    positions = [side**2 for side in sides]
    exponent = statistics.linear_regression(
        [math.log(n) for n in positions], [math.log(size) for size in found]
    ).slope
    return Figure(
        f"{mechanism}: exponent of the extra memory in the positions",
        exponent,
        "",
        len(sides),
        "maps",
        target=GROWTH[mechanism],
        details={"positions": positions, "bytes": found},
    )


def measure(quick: bool) -> list[Figure]:
    torch.set_num_threads(1)
    figures = []
    for name in CASES:
        console.print(name)
        figures.append(speed(name, quick))
    for mechanism in GROWTH:
        console.print(f"memory of {mechanism}")
        figures.append(memory(mechanism, quick))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--peaks", nargs="+")
    if chosen := parser.parse_known_args()[0].peaks:
        print(json.dumps(peaks(chosen[0], [int(side) for side in chosen[1:]])))
    else:
        run(
            "attention_formulations",
            "attention over other formulations of it, and the growth of its memory",
            measure,
        )
