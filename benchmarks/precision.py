"""What lower precision costs and gains: the trained networks in float32, bf16, int8 and fp16.

The int8 variants are those that come with regard. Accuracy is that on the whole test set - 10,000 images of
Fashion-MNIST, CamVid's 101 validation frames - with the interval of a paired bootstrap; agreement is with
float32. Speed is that of the graph alone on one thread, in turns: float32 in ONNX Runtime, the others
in OpenVINO, and the network in eager PyTorch. fp16 is for GPUs: its accuracy alone is measured, with each
result rounded. A network whose data set is not here, and bf16 where the processor has none, are left out.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
from harness import Figure, console, run

from regard.contract.judgement import Judgement
from regard.contract.names import IMAGE
from regard.errors import ExportError
from regard.export.artifact import Artifact
from regard.export.onnx_export import export_onnx
from regard.export.proof.network_runner import normalized
from regard.export.sessions.open_artifact import open_artifact
from regard.export.variant import read_variant
from regard.models.load import resolve
from regard.models.samples import sample_images
from regard.serving.cli.evaluate_tables import words
from regard.serving.optimize.optimize import optimize

# network, weights, and where their test set lies
NETWORKS = (
    ("se_resnet18", "fashion_mnist", Path("/usr/share/datasets/fashion-mnist")),
    ("ccnet_mobilenet_v2", "camvid", Path(os.environ.get("REGARD_DATA", "../shared/data"), "camvid")),
)
PRECISIONS: tuple[Literal["bf16", "int8", "fp16"], ...] = ("bf16", "int8", "fp16")
ROUNDS = 60
INT8_OVER_EAGER = 4.0


def measure(quick: bool) -> Sequence[Figure]:
    torch.set_num_threads(1)
    figures: list[Figure] = []
    for name, weights, data in NETWORKS[: 1 if quick else None]:
        if data.is_dir():
            figures += _of_network(name, weights, data, 5 if quick else ROUNDS)
        else:
            console.print(f"left out: {name}, there are no images at {data}", style="yellow")
    return figures


def _of_network(name: str, weights: str, data: Path, rounds: int) -> list[Figure]:
    network, card = resolve(name, weights=weights)
    network.eval()
    figures = []
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        console.print(f"exporting {card.name}")
        images = sample_images(card)
        artifact = export_onnx(network, card, Path(folder, "artifact"), images=images, images_from="samples")
        forms: dict[str, Artifact] = {"float32": artifact}
        for precision in PRECISIONS:
            console.print(f"judging {precision}")
            timed = precision != "fp16"
            try:
                made = optimize(artifact.folder, precision, data=data, keep_slower=timed)
            except ExportError as error:
                console.print(f"left out: {error}", style="yellow")
                continue
            if timed:
                forms[precision] = read_variant(made.folder)
            figures += _accuracy(f"{card.name}, {precision}", made.judgement)
        times = _times(network, forms, rounds)
    figures += [
        Figure(f"{card.name}, {form}: time of an image", 1e3 * seconds, "ms", rounds, "runs")
        for form, seconds in times.items()
    ]
    for form in forms:
        ratio = times["eager PyTorch"] / times[form]
        target = INT8_OVER_EAGER if form == "int8" else None
        what = f"{card.name}, {form}: times as fast as eager PyTorch"
        figures.append(Figure(what, ratio, "", rounds, "runs", target=target, better="at least"))
    return figures


def _accuracy(variant: str, judgement: Judgement) -> list[Figure]:
    accuracy, images = judgement.accuracy, judgement.images
    assert accuracy is not None
    metric = words(accuracy.metric)
    return [
        Figure(f"{variant}: {metric}", accuracy.variant, "", images, "images"),
        Figure(
            f"{variant}: {metric} less than float32's {accuracy.reference:.4f} by",
            100 * (accuracy.reference - accuracy.variant),
            "points",
            *(images, "images"),
            target=100 * accuracy.max_drop,
            details={"difference_low": accuracy.low, "difference_high": accuracy.high},
        ),
        Figure(
            f"{variant}: the same, at the interval's far end",
            -100 * accuracy.low,
            *("points", images, "images"),
            target=100 * accuracy.max_drop,
        ),
        Figure(
            f"{variant}: agreement with float32",
            judgement.agreement,
            *("", images, "images"),
            target=judgement.min_agreement,
            better="at least",
            details={"least": judgement.least_agreement},
        ),
    ]


def _times(network: torch.nn.Module, artifacts: dict[str, Artifact], rounds: int) -> dict[str, float]:
    """Median seconds of an image of the size that the network was trained at, one thread, in turns."""
    card = artifacts["float32"].card
    contract = card.input
    shape = (1, contract.height, contract.width, contract.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def eager() -> None:
        with torch.inference_mode():
            card.answer.append(network(normalized(pixels, card)))

    def session(artifact: Artifact) -> Callable[[], object]:
        opened = open_artifact(artifact, threads=1)
        return lambda: opened.run((card.answer.tensor,), {IMAGE: pixels})

    forms = {"eager PyTorch": eager} | {form: session(artifact) for form, artifact in artifacts.items()}
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for turn in range(1 + rounds):
        for form, once in forms.items():
            started = time.perf_counter()
            once()
            if turn:  # the first is for what happens only once
                seconds[form].append(time.perf_counter() - started)
    return {form: median(measured) for form, measured in seconds.items()}


if __name__ == "__main__":
    run("precision", "what bf16, int8 and fp16 cost in accuracy, and the first two gain in speed", measure)
