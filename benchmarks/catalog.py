"""Facts of every network of the catalog -> models/catalog.json, which `regard models` reads, and
docs/catalog.md.

Parameters and multiply-adds are counted for all, most on the meta device. Measured is each system once - on
ResNet-50 or MobileNetV2 where it comes on several backbones -: exported untrained at its default options,
certified on the sample images that `regard export` takes, and then run in PyTorch and in ONNX Runtime in
turn, at batch 1 on one thread; what counts is processor time, which other processes disturb least. Networks
with an interface of their own, such as of texts, frames or sessions, are not timed. Of each export
TensorRT-RTX builds an engine in float32 and in fp16, which is not run.

Without names, what is not measured yet is; with --all everything is, again; `--count` only counts.
`--engines` measures nothing: it exports what has no engines yet, of the whole catalog, and builds them. The
file is written after each network.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import engines
import numpy as np
import onnx
import onnxruntime
import torch
from harness import console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, track
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from regard.contract.card import Card
from regard.contract.inputs import FramesInput, Input, TokensInput
from regard.contract.names import FRAMES, IMAGE
from regard.contract.whole_file import write_text
from regard.errors import RegardError
from regard.export.artifact import Artifact
from regard.export.graph.nodes import custom_operators
from regard.export.onnx_export import export_onnx
from regard.models import catalog
from regard.models.attention import ATTENTION
from regard.models.families import ENTRIES
from regard.models.interface import WithInterface
from regard.models.listing import (
    FACTS,
    ROWS,
    Measured,
    Row,
    System,
    list_networks,
    millions,
    systems,
    trained,
)
from regard.models.load import resolve
from regard.models.samples import sample_images
from regard.serving.bench.report import machine, versions

PAGE = Path(__file__).parents[1] / "docs" / "catalog.md"
BACKBONES = {"classification": "resnet50", "segmentation": "mobilenet_v2"}  # to measure systems on
RUNS, RUNS_OF_LARGE, LARGE = 7, 3, 20e9  # timed runs; of networks of more multiply-adds than the last
COLUMNS = (
    *("name", "\\*", "paper", "year", "size", "parameters", "multiply-adds"),
    *("measured", "nodes", "largest error", "outside ONNX", "PyTorch ms", "ONNX Runtime ms"),
    *(f"TensorRT-RTX {precision}: built, not run" for precision in engines.PRECISIONS.values()),
    "trained",
)
HEAD = """# The catalog

Written by `python benchmarks/catalog.py`; do not edit it. `regard models --long` prints the same facts,
`regard models NAME` those of each network of a system, `--json` all of them.

A star in a name stands for what the next column lists. Parameters and multiply-adds (of convolutions and
matrix products) are those of the smallest and the largest network at default options, for one square image
of the size given, or one text as long as the network takes. What is measured is an untrained export: its ONNX
nodes, each loop as one, the largest error of its certificate relative to the largest logit, operators
outside plain ONNX, and the processor time of one image on one thread, PyTorch and ONNX Runtime in turn,
medians of {runs} (of {few} above {large:.0f} G multiply-adds). A system is measured on ResNet-50
(classification) or MobileNetV2 (segmentation) where it comes on several backbones. Networks with an interface
of their own, such as of texts, frames or sessions, are not timed. {unmeasured}

TensorRT-RTX {version} built engines of the same exports, each for the compute capabilities {capabilities}
together: seconds and size. No GPU ran them, so that nothing is known of their values or speed; that their
layers compute in the precision of the column was [checked](tensorrt.md). Full TensorRT: not run.
"""


def stands_for_its_system(row: Row) -> bool:
    """Whether a network is to be measured: of those that differ in their backbone, one is."""
    return row.backbone in (None, BACKBONES.get(row.task))


def count(name: str, known: Row | None) -> Row:
    """What needs no weights: parameters, and multiply-adds of one image or text. What is known of a network
    of the same size is kept.
    """
    network = catalog.find(name)
    # a network that writes until it has ended needs numbers to decide on
    with torch.device("cpu" if name in ENTRIES else "meta"):
        module = network.build().eval()
        facts: dict[str, Any] = {
            "name": name,
            "system": network.system,
            "variant": network.variant,
            "backbone": network.backbone,
            "task": network.task,
            "paper": network.paper,
            "year": network.year,
            "size": network.size,
        }
        if isinstance(module, WithInterface):
            said = module.interface()
            facts["inputs"] = tuple(each.tensor for each in said.inputs)
            facts["sessions"] = said.state is not None
        facts["parameters"] = sum(parameter.numel() for parameter in module.parameters())
        if known is not None and (known.parameters, known.size) == (facts["parameters"], network.size):
            return known.model_copy(update=facts)
        with FlopCounterMode(display=False) as flops, torch.inference_mode():
            _run_once(module, network.size)
    return Row.model_validate(facts | {"multiply_adds": flops.get_total_flops() // 2})


def _run_once(module: Any, size: int) -> None:
    """One image, one row of frames, or one text as long as the network takes; one step of a session."""
    if not isinstance(module, WithInterface):
        module(torch.zeros(1, 3, size, size))
        return
    said = module.interface()
    inputs = [_zeros(each) for each in said.inputs]
    if said.state is None:
        module(*inputs)
    else:
        module.step(*inputs, *module.initial_state(*inputs))


def _zeros(taken: Input) -> Tensor:
    if isinstance(taken, TokensInput):  # of the last word, which is neither padding nor end
        rows = () if taken.sentences is None else (taken.sentences,)
        return torch.full((1, *rows, taken.longest), len(taken.vocabulary) - 1)
    frames = (taken.frames,) if isinstance(taken, FramesInput) else ()
    return torch.zeros(1, *frames, taken.channels, taken.height, taken.width)


@contextmanager
def exported(name: str) -> Iterator[tuple[nn.Module, Artifact]]:
    """A network, untrained, and what it is exported and certified to."""
    network, card = resolve(name, weights="random")
    images = [] if card.pixels is None else sample_images(card)
    with tempfile.TemporaryDirectory(prefix="regard_catalog_") as folder:
        yield (
            network,
            export_onnx(
                network, card, Path(folder) / name, images=images, images_from="regard's sample images"
            ),
        )


def measure(network: nn.Module, artifact: Artifact, runs: int) -> Measured:
    """What an export holds, the largest error of its certificate, and its times beside its network's: none
    of a network with an interface of its own.
    """
    model = onnx.load(artifact.model)
    torch_ms, onnxruntime_ms = (
        (None, None)
        if isinstance(network, WithInterface)
        else _times(network, artifact.card, artifact.model, runs)
    )
    return Measured(
        nodes=len(model.graph.node),
        largest_error=max(
            comparison.relative_error for comparison in artifact.card.certificates[0].comparisons
        ),
        custom_operators=tuple(custom_operators(model)),
        torch_ms=torch_ms,
        onnxruntime_ms=onnxruntime_ms,
    )


def _times(network: nn.Module, card: Card, model: Path, runs: int) -> tuple[float, float]:
    """Milliseconds of processor time of one image in PyTorch and in ONNX Runtime, in turn."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(
        0, 256, (1, card.input.height, card.input.width, 3), dtype=np.uint8
    )
    x = torch.rand(1, 3, card.input.height, card.input.width)

    def in_torch() -> None:
        with torch.inference_mode():
            network(x)

    sides: tuple[Callable[[], object], ...] = (in_torch, lambda: session.run(None, {"image": pixels}))
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        for side, measured in zip(sides, times, strict=True):
            start = time.process_time()
            side()
            if run > 0:  # the first warms up
                measured.append(1000 * (time.process_time() - start))
    return statistics.median(times[0]), statistics.median(times[1])


def page(rows: Sequence[Row]) -> str:
    """docs/catalog.md: a table for each task, and the networks that ONNX Runtime does not make faster."""
    weights = trained()
    missing = [f"`{row.name}`" for row in rows if stands_for_its_system(row) and row.measured is None]
    unmeasured = f"Not measured yet: {', '.join(missing)}." if missing else "All are."
    lines = [
        HEAD.format(
            runs=RUNS,
            few=RUNS_OF_LARGE,
            large=LARGE / 1e9,
            unmeasured=unmeasured,
            version=engines.VERSION,
            capabilities=", ".join(engines.TARGET.compute_capabilities),
        )
    ]
    for task in dict.fromkeys(row.task for row in rows):
        chosen = [row for row in rows if row.task == task]
        title = task.capitalize().replace("_", " ")
        lines += [f"## {title}: {len(systems(chosen))} systems, {len(chosen)} networks", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        lines += [line for system in systems(chosen) for line in _lines(system, weights)] + [""]
    lines += [
        "## Attention mechanisms",
        "",
        "`attention=NAME` of a ResNet, of MobileNetV2 and of a segmenter's backbone puts them where their "
        "papers do.",
        "",
    ]
    lines += ["| name | paper | year | placement |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {found.paper} | {found.year} | {found.placement.value} |"
        for name, found in ATTENTION.items()
    ] + [""]
    timed = [
        (row, found.torch_ms, found.onnxruntime_ms)
        for row in rows
        if (found := row.measured) and found.torch_ms and found.onnxruntime_ms
    ]
    slower = [(row, torch_ms, ort_ms) for row, torch_ms, ort_ms in timed if ort_ms > torch_ms]
    lines += [
        "## Slower in ONNX Runtime than in PyTorch, at batch 1 on one thread",
        "",
        f"{len(slower) or 'None'} of the {len(timed)} timed{':' if slower else '.'}",
    ]
    if slower:
        lines += [
            "",
            *(f"- {row.name}: {ort_ms:.1f} ms against {torch_ms:.1f} ms" for row, torch_ms, ort_ms in slower),
        ]
    lines += ["", *engines.section(rows)]
    refused = [row for row in rows if row.why_not is not None]
    if refused:
        lines += ["", "## Not exported", "", *(f"- {row.name}: {row.why_not}" for row in refused)]
    where = machine()
    lines += [
        "",
        f"Measured on {where['processor']}, with "
        + ", ".join(f"{k} {v}" for k, v in versions().items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _lines(system: System, weights: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for the system with the first network that was measured, and one for each further one."""
    first, networks = system.networks[0], system.networks
    about = [
        f"`{system.pattern}`",
        ", ".join(system.variants),
        first.paper,
        str(first.year),
        str(first.size) if {IMAGE, FRAMES} & {*first.inputs} else "",
        _range([f"{millions(row.parameters)} M" for row in sorted(networks, key=lambda row: row.parameters)]),
        _range(
            [
                f"{row.multiply_adds / 1e9:.2f} G"
                for row in sorted(networks, key=lambda row: row.multiply_adds)
            ]
        ),
    ]
    measured = [_measured(row, row.measured) for row in networks if row.measured]
    tags = ", ".join(f"`{tag}`" for row in networks for tag in weights.get(row.name, []))
    lines = [[*about, *(measured[0] if measured else [""] * 8), tags]]
    lines += [[""] * len(about) + cells + [""] for cells in measured[1:]]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _range(ascending: Sequence[str]) -> str:
    least, most = ascending[0], ascending[-1]
    return least if least == most else f"{least} - {most}"


def _measured(row: Row, found: Measured) -> list[str]:
    return [
        row.variant or row.name,
        str(found.nodes),
        f"{found.largest_error:.0e}",
        ", ".join(found.custom_operators) or "none",
        *("not timed" if ms is None else f"{ms:.1f}" for ms in (found.torch_ms, found.onnxruntime_ms)),
        *(engines.cell(row.engines.get(precision)) for precision in engines.PRECISIONS),
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the networks of the catalog and write its facts.")
    parser.add_argument("names", nargs="*", help="measure these again")
    parser.add_argument("--all", action="store_true", help="measure every system again")
    parser.add_argument("--count", action="store_true", help="measure nothing")
    parser.add_argument(
        "--engines", action="store_true", help="measure nothing, and build the engines that are missing"
    )
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    known = {row.name: row for row in list_networks()} if FACTS.exists() else {}
    rows = {}
    for name in track(catalog.CATALOG, "counting", console=console):
        rows[name] = count(name, None if chosen.all else known.get(name))
    if chosen.count:
        todo = []
    elif chosen.engines:
        lacking = [name for name, row in rows.items() if row.why_not is None and not row.engines]
        todo = chosen.names or sorted(lacking, key=lambda name: rows[name].measured is None)
    else:
        todo = chosen.names or [
            name
            for name, row in rows.items()
            if stands_for_its_system(row) and (chosen.all or (row.measured is None and row.why_not is None))
        ]
    _write(list(rows.values()))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("measuring", total=len(todo))
        for name in todo:
            progress.update(task, description=name)
            found: dict[str, object] = {"why_not": None}
            try:
                with exported(name) as (network, artifact):
                    if not chosen.engines:
                        runs = RUNS_OF_LARGE if rows[name].multiply_adds > LARGE else RUNS
                        found["measured"] = measure(network, artifact, runs)
                    progress.update(task, description=f"{name}, engines")
                    found["engines"] = engines.build(artifact)
                rows[name] = rows[name].model_copy(update=found)
            except RegardError as error:
                console.print(f"{name}: {error}", style="red")
                rows[name] = rows[name].model_copy(
                    update={"measured": None, "why_not": str(error), "engines": {}}
                )
            _write(list(rows.values()))
            progress.advance(task)
    return 1 if any(rows[name].why_not for name in todo) else 0


def _write(rows: list[Row]) -> None:
    write_text(FACTS, ROWS.dump_json(rows, indent=1, exclude_defaults=True).decode() + "\n")
    write_text(PAGE, page(rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
