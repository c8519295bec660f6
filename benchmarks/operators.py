"""The operators' kernels in ONNX Runtime against the best graph of ONNX's own operators that we know;
window attention and SAN-10 as a whole with and without them.

Time: all graphs of an operator, once checked to give equal answers, run in turn, writing into memory that is
there; the figure is the median over the rounds of the best plain graph's time over the kernel's. The plain
graphs are PyTorch's export of each way to write the operator, and the body that its node carries.

Memory: a fresh process for each graph, in which allocations go to the system and back at once; counted is the
process's peak above what it held before, inputs and output among that.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from harness import Figure, classifier, console, run, street
from onnx import ModelProto
from torch import Tensor, nn

from regard.contract.preprocess import decode
from regard.export.graph.opset import OPSET
from regard.export.graph.quiet import quiet
from regard.export.onnx_export import trace
from regard.export.ops import CRISS_CROSS, LOCAL_ATTENTION, WARP, Operator
from regard.export.ops.form import Form, in_form, tracing_in, translations
from regard.export.ops.kernels import library
from regard.export.proof.trials import trials_of
from regard.models.attention.criss_cross import criss_cross
from regard.models.attention.local_window import LocalSelfAttention
from regard.models.parts.footprint_attention import aggregate

Function = Callable[..., Tensor]
NETWORK = "san10_pairwise"
KERNEL, BODY = "the kernel", "the node's body"


def local_attention_unfolded(values: Tensor, weights: Tensor, window: int) -> Tensor:
    height, width = weights.shape[3:]
    grouped = values.unflatten(1, (-1, weights.shape[1]))
    places = [(i, j) for i in range(window) for j in range(window)]
    unfolded = torch.stack([grouped[..., i : i + height, j : j + width] for i, j in places], dim=3)
    return (weights[:, None] * unfolded).sum(dim=3).flatten(1, 2)


def criss_cross_bmm(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    (batch, _, height, width), channels = q.shape, v.shape[1]
    by_column = [t.permute(0, 3, 1, 2).flatten(0, 1) for t in (q, k, v)]  # (B W, C, H)
    by_row = [t.permute(0, 2, 1, 3).flatten(0, 1) for t in (q, k, v)]  # (B H, C, W)
    itself = torch.diag(torch.full((height,), -1e30))
    column = torch.bmm(by_column[0].transpose(1, 2), by_column[1]) + itself
    row = torch.bmm(by_row[0].transpose(1, 2), by_row[1])
    column = column.view(batch, width, height, height).transpose(1, 2)
    a = torch.cat([column, row.view(batch, height, width, width)], dim=3).softmax(dim=3)
    to_column, to_row = a[..., :height].transpose(1, 2).flatten(0, 1), a[..., height:].flatten(0, 1)
    from_column = torch.bmm(by_column[2], to_column.transpose(1, 2)).view(batch, width, channels, height)
    from_row = torch.bmm(by_row[2], to_row.transpose(1, 2)).view(batch, height, channels, width)
    return from_column.permute(0, 2, 3, 1) + from_row.permute(0, 2, 1, 3)


def criss_cross_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    height = q.shape[2]
    column = torch.einsum("bchw,bcgw->bhwg", q, k)
    column = column.masked_fill(torch.eye(height, dtype=torch.bool)[:, None], -1e30)
    a = torch.cat([column, torch.einsum("bchw,bchg->bhwg", q, k)], dim=3).softmax(dim=3)
    from_column = torch.einsum("bhwg,bcgw->bchw", a[..., :height], v)
    return from_column + torch.einsum("bhwg,bchg->bchw", a[..., height:], v)


def warp_by_rows(x: Tensor, grid: Tensor, padding_mode: str, align_corners: bool) -> Tensor:
    """Neighbours as whole rows of channels."""
    (_, channels, height, width), (column, row) = x.shape, grid.unbind(dim=3)
    column, row = (
        (at + 1) / 2 * (size - 1) if align_corners else ((at + 1) * size - 1) / 2
        for at, size in ((column, width), (row, height))
    )
    if padding_mode == "border":
        column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
    pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
    y = torch.zeros(())
    for right in (0, 1):
        for below in (0, 1):
            at_column, at_row = column.floor() + right, row.floor() + below
            inside = (at_column >= 0) & (at_column < width) & (at_row >= 0) & (at_row < height)
            weight = (1 - (column - at_column).abs()) * (1 - (row - at_row).abs()) * inside
            place = (at_row.clamp(0, height - 1) * width + at_column.clamp(0, width - 1)).long()
            y = y + F.embedding(place, pixels) * weight[..., None]
    return y.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Case:
    """An operator on inputs of some size, and the ways to write it without one."""

    name: str
    operator: Operator
    inputs: Sequence[Tensor]
    attributes: Mapping[str, Any]
    plain: Sequence[Function]
    target: float | None = None

    def graph(self, form: str) -> bytes:
        """Of the kernel, of the body or of a plain way, by name."""
        ways: dict[str, Function] = {way.__name__: way for way in self.plain}
        kept = form in (KERNEL, BODY)
        model = exported(self.operator if kept else ways[form], self.inputs, list(self.attributes.values()))
        return (in_form(model, "function" if form == KERNEL else "portable")).SerializeToString()

    @property
    def forms(self) -> list[str]:
        return [KERNEL, BODY, *(way.__name__ for way in self.plain)]


def exported(function: Function, inputs: Sequence[Tensor], attributes: Sequence[Any]) -> ModelProto:
    class Network(nn.Module):
        def forward(self, *args: Tensor) -> Tensor:
            return function(*args, *attributes)

    with quiet():
        program = torch.onnx.export(
            Network(),
            tuple(inputs),
            dynamo=True,
            opset_version=OPSET,
            custom_translation_table=translations(),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def cases(quick: bool) -> list[Case]:
    """The sizes of SAN's second stage, CCNet's head on a 769 x 769 image, and a map that is warped."""
    torch.manual_seed(0)
    randn, side, cross, warped = torch.randn, *((14, 17, 32) if quick else (56, 97, 128))
    turn = torch.tensor([[[0.95, 0.05, 0.0], [-0.05, 0.95, 0.0]]])
    grid = F.affine_grid(turn, [1, 64, warped, warped], align_corners=False)
    grid = grid + 0.02 * randn(1, warped, warped, 2)
    local = (randn(1, 64, side + 6, side + 6), randn(1, 8, 49, side, side).softmax(dim=2))
    attended = (randn(1, 64, cross, cross) / 3, randn(1, 64, cross, cross) / 3, randn(1, 512, cross, cross))
    return [
        Case(
            f"local attention 7x7, 64x{side}x{side}",
            LOCAL_ATTENTION,
            local,
            {"window": 7},
            (aggregate, local_attention_unfolded),
            target=7,
        ),
        Case(
            f"criss-cross {cross}x{cross}, 64/512",
            CRISS_CROSS,
            attended,
            {},
            (criss_cross, criss_cross_bmm, criss_cross_einsum),
            target=1.3,
        ),
        *(
            Case(
                f"warp 64x{warped}x{warped}, {padding}{', corners aligned' if corners else ''}{note}",
                WARP,
                (randn(1, 64, warped, warped), grid),
                {"padding_mode": padding, "align_corners": corners},
                () if padding == "reflection" else (warp_by_rows,),
                target=target,
            )
            for padding, corners, target, note in (
                ("zeros", True, 6, ""),
                ("border", False, 6, ""),
                ("reflection", False, 6, ""),
                # since 1.25 it has code of its own for this one
                ("zeros", False, None, " (fast in ONNX Runtime itself)"),
            )
        ),
    ]


def opened(
    model: bytes, threads: int, *, kernels: Path | None, arena: bool = True
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena  # memory that stays for the next call
    if kernels is not None:
        options.register_custom_ops_library(str(kernels))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def bound(session: onnxruntime.InferenceSession, arrays: Sequence[Any]) -> tuple[Callable[[], None], Any]:
    """A call whose output's memory is there already, and the output."""
    binding = session.io_binding()
    for wanted, array in zip(session.get_inputs(), arrays, strict=True):
        binding.bind_ortvalue_input(wanted.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    (answer,) = session.run(
        None, dict(zip((each.name for each in session.get_inputs()), arrays, strict=True))
    )
    output = onnxruntime.OrtValue.ortvalue_from_numpy(answer)
    binding.bind_ortvalue_output(session.get_outputs()[0].name, output)
    return partial(session.run_with_iobinding, binding), output


def in_turn(calls: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round; the first round does not count."""
    taken: dict[str, list[float]] = {form: [] for form in calls}
    for index in range(1 + rounds):
        forms = list(calls)
        for form in forms[index % len(forms) :] + forms[: index % len(forms)]:
            started = time.perf_counter()
            calls[form]()
            if index:
                taken[form].append(time.perf_counter() - started)
    return taken


def faster(name: str, taken: Mapping[str, Sequence[float]], target: float | None) -> Figure:
    """How many times the first form is as fast as the best of the others."""
    first, *others = taken
    best = min(others, key=lambda form: median(taken[form]))
    ratios = [theirs / ours for theirs, ours in zip(taken[best], taken[first], strict=True)]
    milliseconds = {form: 1000 * median(seconds) for form, seconds in taken.items()}
    what = f"{name}: times as fast as {best}"
    details = {"milliseconds": milliseconds}
    return Figure(what, median(ratios), "", len(ratios), "rounds", target, "at least", details=details)


def speed(case: Case, kernels: Path, threads: int, rounds: int) -> list[Figure]:
    """Against the best of all, and against the body, which is what runs where there is no kernel."""
    arrays = [tensor.numpy() for tensor in case.inputs]
    calls: dict[str, Callable[[], None]] = {}
    expected = None
    for form in case.forms:
        session = opened(case.graph(form), threads, kernels=kernels if form == KERNEL else None)
        calls[form], output = bound(session, arrays)
        expected = output.numpy() if expected is None else expected
        departure = np.abs(output.numpy() - expected).max()
        assert departure < 1e-3, f"{case.name}: {form} departs by {departure}"
    taken, name = in_turn(calls, rounds), f"{case.name}, {_threads(threads)}"
    best = faster(name, taken, case.target if threads == 1 else None)
    body = faster(name, {form: taken[form] for form in (KERNEL, BODY)}, None)
    return [best] if best.name == body.name else [best, body]


def window_attention(kernels: Path, rounds: int, quick: bool) -> list[Figure]:
    """The module by its operators, LocalWeights and LocalAttention, and by tiles; each with its three
    convolutions.
    """
    forms: dict[str, Form] = {"by operators": "function", "by tiles": "portable"}
    figures = []
    for channels, side in ((64, 14),) if quick else ((64, 56), (256, 28)):
        module, x = LocalSelfAttention(channels).eval(), torch.randn(1, channels, side, side)
        nn.init.ones_(module.gamma)
        calls, answers = {}, []
        for name, form in forms.items():
            with tracing_in(form):
                model = in_form(exported(module, [x], []), form)
            session = opened(model.SerializeToString(), 1, kernels=kernels)
            calls[name], answer = bound(session, [x.numpy()])
            answers.append(answer.numpy())
        assert np.abs(answers[0] - answers[1]).max() < 1e-4
        name = f"window attention 7x7, {channels}x{side}x{side}, one thread"
        figures.append(faster(name, in_turn(calls, rounds), 1.5))
    return figures


def whole(kernels: Path, rounds: int, quick: bool) -> list[Figure]:
    """The network by operators and in the portable form; traced once, which takes minutes."""
    size = 64 if quick else 224
    network, card = classifier(NETWORK, size, **({"footprints": (3, 3, 3, 3, 3)} if quick else {}))
    trial = trials_of([decode(street()[0])], card)[0]
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    models = {
        "by operators": trace(network, card, trial, form="function").SerializeToString(),
        "the portable graph": trace(network, card, trial, form="portable").SerializeToString(),
    }
    figures = []
    for threads in (1, 2):
        calls = {
            form: bound(opened(model, threads, kernels=kernels), [image])[0] for form, model in models.items()
        }
        name = f"{NETWORK} {size}x{size} by operators, {_threads(threads)}"
        figures.append(faster(name, in_turn(calls, rounds), 1.3 if threads == 1 else None))
    return figures


def scratch(case: Case, kernels: Path, quick: bool) -> Figure:
    """Memory of the kernel over that of the plain graph that takes the least."""
    at_once = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}
    taken = {}
    for form in case.forms:
        command = [sys.executable, __file__, "--peak", case.name, form, str(kernels), *["--quick"] * quick]
        answer = subprocess.run(command, env=os.environ | at_once, capture_output=True, text=True, check=True)
        taken[form] = json.loads(answer.stdout)
    least = min((form for form in case.forms if form != KERNEL), key=taken.__getitem__)
    return Figure(
        f"{case.name}: memory of a call over that of {least}",
        taken[KERNEL] / taken[least],
        *("", 1, "process of each"),
        target=0.1,
        details={"bytes": taken},
    )


def peak(name: str, form: str, kernels: Path, quick: bool) -> int:
    """Bytes at the peak of a call above those before it, in this process, see `scratch`."""
    case = next(case for case in cases(quick) if case.name == name)
    session = opened(case.graph(form), 1, kernels=kernels, arena=False)
    call, output = bound(session, [tensor.numpy() for tensor in case.inputs])
    output.numpy().fill(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def measure(quick: bool) -> list[Figure]:
    reasons: list[str] = []
    kernels = library(report=reasons.append)
    if kernels is None:
        sys.exit(reasons[0])  # rather than write that nothing was measured
    rounds = 3 if quick else 40
    figures: list[Figure] = []
    for case in cases(quick):
        console.print(case.name)
        for threads in (1, 2):
            figures += speed(case, kernels, threads, rounds)
        if case.operator is CRISS_CROSS:
            figures.append(scratch(case, kernels, quick))
    console.print("window attention")
    figures += window_attention(kernels, rounds, quick)
    console.print(NETWORK)
    return figures + whole(kernels, 3 if quick else 15, quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--peak", nargs=3)
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_known_args()[0]
    if told.peak:
        print(peak(told.peak[0], told.peak[1], Path(told.peak[2]), told.quick))
    else:
        run("operators", "the operators' kernels against graphs of ONNX's own operators", measure)
