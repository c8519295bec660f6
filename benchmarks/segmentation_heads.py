"""Heads against each other: CamVid networks that differ in their head alone, trained on one backbone with one
schedule.

The mean IoU is that of their Cards, on the 101 validation images; tests/models/test_weights.py measures it
again. Time is processor time of one 360 x 480 image in ONNX Runtime on one thread, of graphs exported for
that size, in turn.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from harness import Figure, console, export, run

from regard.contract.reading import card_from_file
from regard.models.load import resolve
from regard.models.weights_index import shipped

SUFFIX = "_mobilenet_v2_camvid_short"
ROUNDS = 9


def measure(quick: bool) -> Sequence[Figure]:
    names = [name for name in shipped() if name.endswith(SUFFIX)][: 2 if quick else None]
    sessions, figures = {}, []
    pixels = np.random.default_rng(0).integers(0, 256, (1, 360, 480, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        for name in names:
            head = name.removesuffix(SUFFIX)
            path = shipped()[name]
            network, card = resolve(
                card_from_file(path).origin.builder, weights=str(path.with_suffix(".safetensors"))
            )
            figures.append(Figure(f"{head}: mean IoU", card.origin.metrics["mean_iou"], "", 101, "images"))
            parameters = sum(parameter.numel() for parameter in network.parameters()) - sum(
                p.numel() for p in network.auxiliary.parameters()
            )
            figures.append(
                Figure(f"{head}: parameters, without the auxiliary output", parameters, "", 1, "network")
            )
            console.print(f"exporting {head}")
            contract = card.input.model_copy(update={"resize": "stretch", "dynamic_size": False})
            artifact = export(network, card.updated(input=contract.model_dump()), Path(folder) / name)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            sessions[head] = onnxruntime.InferenceSession(
                str(artifact.model), options, providers=["CPUExecutionProvider"]
            )
        times: dict[str, list[float]] = {head: [] for head in sessions}
        for _ in range(ROUNDS):
            for head, session in sessions.items():
                start = time.process_time()
                session.run(None, {"image": pixels})
                times[head].append(1000 * (time.process_time() - start))
    figures += [
        Figure(f"{head}: time of an image", statistics.median(found), "ms", ROUNDS, "runs")
        for head, found in times.items()
    ]
    return sorted(figures, key=lambda figure: figure.name)


if __name__ == "__main__":
    run("segmentation_heads", "segmentation heads on MobileNetV2, one short schedule on CamVid", measure)
