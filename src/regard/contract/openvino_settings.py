"""How OpenVINO runs a graph, wherever it does: at the proof, in a process of the user's, and in the server,
into whose folder of backends this file is copied by itself.
"""

from typing import Any

# what a precision lets the operators compute in that are not quantized
HINTS = {"bf16": "bf16", "int8": "f32"}
FLOAT32_REFUSED = (
    "float32 is always ONNX Runtime's, since NVIDIA's `openvino` backend cannot be told to keep it"
)


def settings(precision: str, threads: int) -> dict[str, Any]:
    """OpenVINO's own for one of several instances on a machine: it left alone pins all to the same cores.

    Args:
        precision: one of HINTS.
        threads: that compute one call; 0 leaves it to OpenVINO.
    """
    return {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
