"""A graph as NVIDIA's C++ `openvino` backend runs it, by its source: container_openvino.py starts this in an
environment that holds OpenVINO 2024.4 and NumPy alone.

On standard input a line of JSON: model, the file; parameters; input and output, each name -> [type, dims];
images and answers, .npz files, the latter to be written. On standard output a line of JSON: the OpenVINO, and
what it says that it does.
"""

import json
import sys
from typing import Any

import numpy as np
import openvino

# the C++ backend sets them on the core, one after the other; its names are not all OpenVINO's
SETTINGS = ("INFERENCE_NUM_THREADS", "HINT_BF16", "NUM_STREAMS", "PERFORMANCE_HINT")
TYPES = {"u8": "TYPE_UINT8", "f32": "TYPE_FP32"}


def main() -> None:
    """Load, run every batch, and tell."""
    task = json.loads(sys.stdin.readline())
    core = openvino.Core()
    for key in SETTINGS:
        if key in task["parameters"]:
            value = task["parameters"][key]
            core.set_property(
                "CPU", {"INFERENCE_PRECISION_HINT": "bf16"} if key == "HINT_BF16" else {key: value}
            )
    model = core.read_model(task["model"])
    check(model.inputs, task["input"])
    check(model.outputs, task["output"])
    compiled = core.compile_model(model, "CPU")
    request = compiled.create_infer_request()
    answers = {}
    with np.load(task["images"]) as images:
        for name in images.files:
            request.set_tensor("image", openvino.Tensor(images[name]))
            request.infer()
            for output in task["output"]:
                answers[f"{output}/{name}"] = np.array(request.get_tensor(output).data)
    np.savez(task["answers"], **answers)
    told = ("NUM_STREAMS", "INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT", "ENABLE_CPU_PINNING")
    print(
        json.dumps(
            {"openvino": openvino.__version__, **{key: str(compiled.get_property(key)) for key in told}}
        )
    )


def check(found: list[Any], declared: dict[str, Any]) -> None:
    """Names, types and dimensions as the backend holds them against each other, without max_batch_size."""
    tensors = {tensor.get_any_name(): tensor for tensor in found}
    if set(tensors) != set(declared):
        raise SystemExit(f"the graph has {sorted(tensors)}, the configuration {sorted(declared)}")
    for name, (kind, dims) in declared.items():
        shape, typed = tensors[name].partial_shape, TYPES.get(tensors[name].element_type.get_type_name())
        if typed != kind:
            raise SystemExit(f"{name} is {typed}, the configuration says {kind}")
        if len(shape) != len(dims) or any(map(departs, shape, dims)):
            raise SystemExit(f"{name} has shape {shape}, the configuration says {dims}")


def departs(dimension: Any, declared: int) -> bool:
    """Whether one dimension contradicts what is declared, -1 for any size."""
    if not dimension.is_dynamic:
        return bool(dimension.get_length() != declared)
    bounded = dimension.get_max_length() >= 0
    return bounded and not dimension.get_min_length() < declared < dimension.get_max_length()


if __name__ == "__main__":
    main()
