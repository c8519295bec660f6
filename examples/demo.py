"""The whole pipeline, run once: export two trained networks, prove them, add int8 variants, build an engine
for GPUs, serve all but that with Triton, predict real images, measure.

    make demo

Every line that starts with `$ regard` is the command that is being run; only the server is started from
Python, so that it ends with the demo. Everything is written to demo_output/, which is emptied first.
"""

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from rich.console import Console

from regard import Client
from regard.contract.answers import LabelMap
from regard.contract.card import Card
from regard.contract.reading import card_from_file
from regard.contract.results import Classification
from regard.errors import RegardError
from regard.models.samples import folder
from regard.models.weights_index import shipped
from regard.serving.cli.app import app
from regard.serving.cli.tables import Table
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

OUT = Path("demo_output")
GARMENTS, STREETS = "se_resnet18_fashion_mnist", "ccnet_mobilenet_v2_camvid"
INT8 = "_int8"  # behind the name that a network's int8 variant is served by
SHOWN_STREET = "0016E5_08033"
BENCH = {  # short windows: a garment takes a millisecond or so, a street a tenth of a second
    GARMENTS: "--concurrency 1,2,4,8 --duration 0.5 --repeats 3",
    STREETS: "--concurrency 1,2,4 --duration 1 --repeats 3",
}

console = Console(soft_wrap=True)


@dataclass(frozen=True)
class Step:
    """A finished part of the demo and the seconds it took."""

    title: str
    seconds: float


class Demo:
    """Runs the steps and remembers how long each took."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and time it."""
        console.rule(f"[bold]{len(self.steps) + 1}. {title}", align="left")
        start = time.perf_counter()
        yield
        self.steps.append(Step(title, time.perf_counter() - start))
        console.print(f"[dim]{self.steps[-1].seconds:.1f} s[/dim]\n")


def regard(command: str) -> None:
    """Print a command line of regard and run it."""
    console.print(f"[bold green]$ regard {command}[/bold green]", highlight=False)
    code = app(shlex.split(command), prog_name="regard", standalone_mode=False)
    if code:
        sys.exit(f"the demo stops here: that command ended with {code}")


def main() -> None:
    """Run the pipeline."""
    os.chdir(Path(__file__).parents[1])  # so that the commands below can be repeated as they are printed
    missing = {GARMENTS, STREETS} - shipped().keys()
    if missing:
        sys.exit(f"models/weights lacks {' and '.join(sorted(missing))}; is this a whole clone?")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    cards = {name: card_from_file(shipped()[name]) for name in (GARMENTS, STREETS)}
    served = [name + precision for name in cards for precision in ("", INT8)]
    demo = Demo()
    with demo.step("Export two trained networks to ONNX, and prove them equal"):
        for name, card in cards.items():
            builder = card.origin.builder
            regard(f"export {builder} --weights {name.removeprefix(f'{builder}_')} -o {OUT}/exported/{name}")
    with demo.step("Add their int8 variants: with regard come those that its own weights were judged by"):
        for name in cards:
            # kept where an older processor runs them no faster, so that the demo goes on
            regard(f"optimize {OUT}/exported/{name} --precision int8 --keep-slower")
    with demo.step("Build an engine for GPUs in fp16, by TensorRT-RTX, which needs none: built, not run"):
        regard(f"optimize {OUT}/exported/{GARMENTS} --precision fp16")
        regard(f"build {OUT}/exported/{GARMENTS} --variant fp16 --target rtx:8.6,8.9,12.0")
    with demo.step("Put all of them into a Triton model repository"):
        for name in cards:
            variant = f"{OUT}/exported/{name}/variants/int8"
            regard(f"repo add {OUT}/exported/{name} --repository {OUT}/model_repository")
            regard(f"repo add {variant} --name {name}{INT8} --repository {OUT}/model_repository")
    http_port, grpc_port, metrics_port = free_ports(3)
    server = EmbeddedTriton(
        OUT / "model_repository",
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        log=OUT / "triton.log",
    )
    try:
        with demo.step("Start NVIDIA Triton on it"):
            console.print(
                f"[dim]the same from a shell: regard serve --repository {OUT}/model_repository[/dim]"
            )
            server.start()
            console.print(
                f"ready at {server.grpc_url} (gRPC) and http://{server.http_url}: process {server.pid}"
            )
        url = server.grpc_url
        with demo.step("Verify: the answers on the wire are those of the export, and PyTorch's"):
            for name in served:
                regard(f"verify {name} --repository {OUT}/model_repository --url {url}")
        with demo.step("Predict: what is in these images?"):
            # paths below the working directory, as a person would type them
            garment, street = (
                path.resolve().relative_to(Path.cwd().resolve())
                for path in (folder("garment"), folder("street"))
            )
            regard(f"predict {GARMENTS} {garment} --url {url}")
            regard(f"predict {GARMENTS}{INT8} {garment} --url {url}")
            regard(f"predict {STREETS} {street} --out {OUT}/predictions --url {url}")
            with Client(url) as client:  # the same in Python
                files = sorted(folder("garment").iterdir())
                answers = client.classify(GARMENTS, files)
        with demo.step("Measure: images a second and latency against load"):
            for name in served:
                figures = f"--record {OUT}/bench_{name}.json --picture {OUT}/bench_{name}.png"
                regard(f"bench {name} --url {url} {BENCH[name.removesuffix(INT8)]} {figures}")
    finally:
        server.stop()
    with demo.step("Draw all of it in one picture"):
        draw(OUT / "demo.png", cards, files, answers)
    summarize(demo.steps, cards)


def draw(
    path: Path, cards: dict[str, Card], files: Sequence[Path], answers: Sequence[Classification]
) -> None:
    """One picture of the demo's own results: a street and its classes, the garments and their labels,
    throughput.
    """
    mpl.rcParams["font.size"] = 9
    figure = Figure(figsize=(12, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    top, middle, bottom = np.asarray(figure.subfigures(3, 1, height_ratios=(4.3, 1.3, 2.8)))
    _draw_street(top.subplots(1, 2), cards[STREETS])
    for axes, file, answer in zip(middle.subplots(1, len(files)), files, answers, strict=True):
        axes.imshow(np.asarray(Image.open(file)), cmap="gray")
        right = is_label(file, answer.label)
        colour = "black" if right else "#9e2a2b"
        axes.set_title(f"{answer.label}\n{answer.probability:.0%}", fontsize=8, color=colour)
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel("right" if right else f"wrong: {file.stem}", fontsize=7, color=colour)
    for axes, name in zip(bottom.subplots(1, 2), cards, strict=True):
        _draw_throughput(axes, name)
    figure.savefig(path, dpi=120)


def is_label(file: Path, label: str) -> bool:
    """Whether a sample image, which is named after what it shows, shows this: t-shirt.png a T-shirt/top."""
    return file.stem.replace("_", " ") in label.lower().split("/")


def _draw_street(panels: Sequence[Axes], card: Card) -> None:
    assert isinstance(card.answer, LabelMap)
    panels[0].imshow(np.asarray(Image.open(folder("street") / f"{SHOWN_STREET}.jpg")))
    panels[0].set_title("in: a JPEG")
    panels[1].imshow(np.asarray(Image.open(OUT / "predictions" / f"{SHOWN_STREET}_overlay.png")))
    panels[1].set_title(f"out: {card.name}, served by Triton")
    patches = [
        Patch(color=(red / 255, green / 255, blue / 255), label=label)
        for label, (red, green, blue) in zip(card.answer.labels, card.answer.colours, strict=True)
    ]
    panels[1].legend(handles=patches, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    for axes in panels:
        axes.axis("off")


def _draw_throughput(axes: Axes, name: str) -> None:
    """Of a network in float32 and in int8."""
    latency = axes.twinx()
    for colour, precision, suffix in (("#2a6f97", "float32", ""), ("#bc6c25", "int8", INT8)):
        levels = json.loads((OUT / f"bench_{name}{suffix}.json").read_text())["levels"]
        loads = [level["load"] for level in levels]
        throughput, median = ([level[what]["value"] for level in levels] for what in ("throughput", "p50"))
        axes.plot(loads, throughput, marker="o", color=colour, label=precision)
        latency.plot(loads, median, marker="s", color=colour, linestyle="--")
        axes.set(title=name, xlabel="clients", ylabel="images a second", xticks=loads)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    latency.set_ylabel("median latency in ms (dashed)")
    latency.set_ylim(bottom=0)


def summarize(steps: Sequence[Step], cards: dict[str, Card]) -> None:
    """Say what was done, how long it took, and where it is."""
    times = Table("step", "seconds", title="What was done", figures=("seconds",))
    for number, step in enumerate(steps, start=1):
        times.add(f"{number}. {step.title}", f"{step.seconds:.1f}")
    times.add("together", f"{sum(step.seconds for step in steps):.1f}")
    console.print(times, "")
    places = Table("where", "what", title="Where it is", whole=("where",))
    for name in cards:
        places.add(f"{OUT}/exported/{name}", "the proven ONNX graph, its Card, and its variants")
    places.add(f"{OUT}/model_repository", "what Triton served; NVIDIA's container reads the same folder")
    places.add(f"{OUT}/predictions", "masks and overlays of the street scenes")
    places.add(f"{OUT}/bench_*.json, .png", "the short benchmark; benchmarks/ holds the long ones")
    places.add(f"{OUT}/triton.log", "the server's log")
    places.add(f"{OUT}/demo.png", "all of it in one picture")
    console.print(places)


if __name__ == "__main__":
    try:
        main()
    except RegardError as error:
        sys.exit(f"regard: {error}")
