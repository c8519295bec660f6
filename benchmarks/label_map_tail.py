"""How a segmenter makes labels of its scores: as exported, by the cheap tail, and by two matrix products.

What is given is the graph of a segmenter that answers for any size, quantized or not. Each form runs in
OpenVINO and in ONNX Runtime, on one thread, in turns; printed are the least and the median wall-clock time of
each, and how many pixels' labels differ from the graph's own. The products - interpolation matrices along
each axis in place of Resize - are a form that regard does not take: docs/decisions/0042-cheap-tail.md.
"""

import argparse
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import onnx
import openvino
import torch
import torch.nn.functional as F
from onnx import ModelProto, helper, numpy_helper

from regard.contract.image_files import images_in, read_pixels
from regard.contract.names import IMAGE, LABEL_MAP
from regard.export.graph.cheap_tail import with_cheap_tail
from regard.export.session import open_session
from regard.models.samples import folder

Labels = npt.NDArray[np.uint8]
Run = Callable[[npt.NDArray[np.uint8]], Labels]
# one instance of the server: one thread, no core of its own
ONE_THREAD = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,
}


def in_openvino(model: ModelProto) -> Run:
    """The graph as the server's OpenVINO runs it."""
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", ONE_THREAD)
    request = compiled.create_infer_request()
    return lambda image: request.infer({IMAGE: image})[LABEL_MAP].copy()


def in_onnxruntime(model: ModelProto) -> Run:
    """The graph as the server's ONNX Runtime runs it."""
    session = open_session(model.SerializeToString(), name="the graph", threads=1)
    return lambda image: session.run([LABEL_MAP], {IMAGE: image})[0]


def with_products(model: ModelProto, height: int, width: int, stride: int) -> ModelProto:
    """The last Resize, bilinear with half-pixel centres, as rows @ scores @ columns, for one size."""
    changed = with_cheap_tail(model)
    at = max(index for index, node in enumerate(changed.graph.node) if node.op_type == "Resize")
    resize = changed.graph.node.pop(at)
    for name, size in (("rows", height), ("columns", width)):
        unit = torch.eye(-(-size // stride))[None]
        matrix = F.interpolate(unit, size=size, mode="linear")[0].numpy()  # (size / stride, size)
        changed.graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(matrix.T if name == "rows" else matrix), name)
        )
    for node in (
        helper.make_node("MatMul", ["rows", "wide"], [resize.output[0]]),
        helper.make_node("MatMul", [resize.input[0], "columns"], ["wide"]),
    ):
        changed.graph.node.insert(at, node)
    return changed


def main() -> None:
    """Compare, and print what was found."""
    parser = argparse.ArgumentParser(description="forms of a segmenter's last steps")
    parser.add_argument("graph", type=Path, help="model.onnx of a segmenter, or of its int8 variant")
    parser.add_argument("--images", type=Path, default=folder("street"), help="a folder of images")
    parser.add_argument("--most", type=int, default=40, help="images that are looked at")
    parser.add_argument("--height", type=int, default=360, help="rows that are kept of each image")
    parser.add_argument("--width", type=int, default=480, help="columns that are kept of each image")
    parser.add_argument("--stride", type=int, default=4, help="of the scores before they are resized")
    parser.add_argument("--rounds", type=int, default=60, help="timings of each form")
    arguments = parser.parse_args()
    height, width = arguments.height, arguments.width
    model = onnx.load(arguments.graph)
    forms = {
        "as exported": model,
        "cheap tail": with_cheap_tail(model),
        "matrix products": with_products(model, height, width, arguments.stride),
    }
    paths = islice(images_in(arguments.images), arguments.most)
    images = [read_pixels(path)[None, :height, :width] for path in paths]
    for engine, load in (("OpenVINO", in_openvino), ("ONNX Runtime", in_onnxruntime)):
        runs = {name: load(form) for name, form in forms.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(arguments.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run(images[turn % len(images)])
                times[name].append(1e3 * (time.perf_counter() - start))
        print(f"{engine}, {height} x {width}, {arguments.rounds} rounds, {len(images)} images")
        for name, run in runs.items():
            differ = sum(int((run(image) != runs["as exported"](image)).sum()) for image in images)
            print(
                f"  {name:<16} {min(times[name]):6.1f} ms at least, {median(times[name]):6.1f} median; "
                f"{differ} of {len(images) * height * width} labels differ"
            )


if __name__ == "__main__":
    main()
