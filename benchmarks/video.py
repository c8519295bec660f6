"""Deep feature flow beside its segmenter on every frame: accuracy and time on a video.

Mean IoU is that of the served graphs on the second half of CamVid's validation split, which is one drive at
15 frames a second; nothing learned from it. The floor copies the labels of the last key frame, the ceiling
carries them along the DIS flow of OpenCV, which is no requirement of regard: install it with
`pip install opencv-python-headless`. One graph serves every interval: the frames since the key one are part
of its state. Time is processor time of a frame of 360 x 480 in ONNX Runtime on one thread, the two graphs in
turn on every frame; that of an interval is the mean over its key frame and the others.

The data is looked for in $REGARD_DATA, see docs/data.md.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from harness import Figure, console, export, run
from torch import Tensor

from regard.contract.reading import card_from_file
from regard.models.load import resolve
from regard.models.training.families.camvid_video import (
    SEGMENTER,
    Carry,
    Video,
    carried,
    copied,
    mean_iou,
    read_video,
)
from regard.models.weights_index import shipped

NETWORK = "dff_camvid"
INTERVALS = (2, 4, 10, 20)


class Graph:
    """An exported network of the shipped ones, asked on one thread."""

    def __init__(self, name: str, folder: Path) -> None:
        path = shipped()[name]
        builder = card_from_file(path).origin.builder
        self.network, self.card = resolve(builder, weights=str(path.with_suffix(".safetensors")))
        console.print(f"exporting {name}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(export(self.network, self.card, folder / name).model),
            options,
            providers=["CPUExecutionProvider"],
        )
        self.times: list[float] = []

    def __call__(self, image: Tensor, **state: Any) -> dict[str, Any]:
        """Outputs by name; the time is kept."""
        names = [output.name for output in self.session.get_outputs()]
        start = time.process_time()
        found = self.session.run(names, {"image": image.numpy()[None], **state})
        self.times.append(1000 * (time.process_time() - start))
        return dict(zip(names, found, strict=True))


def labels_of(outputs: dict[str, Any]) -> Tensor:
    return torch.from_numpy(outputs["label_map"][0])


def session(graph: Graph, alone: Graph, video: Video, interval: int) -> tuple[list[Tensor], list[Tensor]]:
    """Labels by the flow and by the segmenter, whose times are taken in turn."""
    assert graph.card.state is not None
    state = {each.name: np.zeros((1, *each.initial_dims), np.float32) for each in graph.card.state.tensors}
    by_flow, by_itself = [], []
    for i, image in enumerate(video.images):
        state["since"] = np.full((1, 1), 1 if i % interval else graph.network.interval, np.float32)
        outputs = graph(image, start=np.full((1, 1), i == 0, np.float32), **state)
        state = {name: outputs[f"next_{name}"] for name in state}
        by_flow.append(labels_of(outputs))
        by_itself.append(labels_of(alone(image)))
    return by_flow, by_itself


def along_dis() -> Carry | None:
    """Carries labels along OpenCV's DIS flow; None without OpenCV."""
    try:
        import cv2
    except ImportError:
        return None
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def carry(labels: Tensor, key: Tensor, frame: Tensor) -> Tensor:
        grey = [cv2.cvtColor(each.numpy(), cv2.COLOR_RGB2GRAY) for each in (frame, key)]
        moved = torch.from_numpy(flow.calc(*grey, None)).round().long()  # (H, W, 2)
        rows, columns = labels.shape
        row = (torch.arange(rows)[:, None] + moved[..., 1]).clamp(0, rows - 1)
        column = (torch.arange(columns) + moved[..., 0]).clamp(0, columns - 1)
        return labels[row, column]

    return carry


def measure(quick: bool) -> Sequence[Figure]:
    """Every interval, and the segmenter alone."""
    _, video = read_video(Path(os.environ.get("REGARD_DATA", "../shared/data")))
    video = video.part(slice(8 if quick else None))
    count, dis, figures = len(video.images), along_dis(), []
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        graph, alone = Graph(NETWORK, Path(folder)), Graph(SEGMENTER, Path(folder))
        session(graph, alone, video.part(slice(2)), 2)  # to warm up
        graph.times, alone.times = [], []
        key_times: list[float] = []
        between: list[float] = []
        accuracies: dict[int, list[tuple[str, float]]] = {}
        for interval in INTERVALS[: 1 if quick else None]:
            first = len(graph.times)
            by_flow, by_itself = session(graph, alone, video, interval)
            for i, taken in enumerate(graph.times[first:]):
                (key_times if i % interval == 0 else between).append(taken)
            by_dis = mean_iou(carried(by_itself, video, interval, dis), video) if dis else float("nan")
            accuracies[interval] = [
                ("by the flow", mean_iou(by_flow, video)),
                ("copied", mean_iou(carried(by_itself, video, interval, copied), video)),
                ("along DIS flow" if dis else "along DIS flow, OpenCV is not installed", by_dis),
            ]
        figures.append(
            Figure("every frame by itself: mean IoU", mean_iou(by_itself, video), "", count, "frames")
        )
        figures.append(
            Figure("every frame by itself: time", median(alone.times), "ms", len(alone.times), "frames")
        )
        key, other = median(key_times), median(between)
        figures.append(Figure("key frame: time", key, "ms", len(key_times), "frames"))
        figures.append(Figure("frame between: time", other, "ms", len(between), "frames"))
        for interval, found in accuracies.items():
            name = f"a key frame in {interval}"
            figures += [Figure(f"{name}: mean IoU {how}", value, "", count, "frames") for how, value in found]
            spent = (key + (interval - 1) * other) / interval
            figures.append(Figure(f"{name}: time of a frame", spent, "ms", len(graph.times), "frames"))
    return figures


if __name__ == "__main__":
    run("video", "deep feature flow beside its segmenter on every frame", measure)
