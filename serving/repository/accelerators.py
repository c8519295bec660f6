"""How ONNX Runtime computes on a GPU, in the words of Triton's `onnxruntime` backend: NVIDIA's C++ one and
ours read the same block of a configuration, `optimization.execution_accelerators` (docs/decisions/0048).
"""

from collections.abc import Mapping

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.plan import Shape
from regard.contract.variant import Precision
from regard.export.tensorrt.profile import profile_of

CUDA, TENSORRT = "cuda", "tensorrt"  # the accelerators' names
PRECISION_MODE: dict[Precision, str] = {"float32": "FP32", "fp16": "FP16", "int8": "INT8"}
ENGINE_CACHE = "/engine_cache"  # docker/Dockerfile makes it, for a volume
WORKSPACE = 2**30  # bytes that layers may take while they run, at most


def compute_float32(config: ModelConfig) -> None:
    """Let CUDA compute float32 in float32: by its own default it rounds factors to TF32's 10 bits, and a
    model then answers otherwise than it was proven.
    """
    _set(config, CUDA, {"use_tf32": "0"})


def accelerate(config: ModelConfig, card: Card, precision: Precision) -> None:
    """Let TensorRT compute what it takes of the graph on a GPU, for the shapes that the Card promises; CUDA
    computes the rest.
    """
    profile = profile_of(card.input)
    _set(
        config,
        TENSORRT,
        {
            "precision_mode": PRECISION_MODE[precision],
            "max_workspace_size_bytes": str(WORKSPACE),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": ENGINE_CACHE,
            "trt_profile_min_shapes": _shape(profile.least),
            "trt_profile_opt_shapes": _shape(profile.best),
            "trt_profile_max_shapes": _shape(profile.most),
        },
    )


def asks_for(config: ModelConfig, accelerator: str) -> bool:
    """Whether a configuration says anything of an accelerator, by its name."""
    found = config.optimization.execution_accelerators.gpu_execution_accelerator
    return any(each.name == accelerator for each in found)


def _shape(shape: Shape) -> str:
    return f"{IMAGE}:{'x'.join(map(str, shape))}"


def _set(config: ModelConfig, name: str, parameters: Mapping[str, str]) -> None:
    """Set one accelerator, whatever it was told before; the others stay."""
    all_of_them = config.optimization.execution_accelerators.gpu_execution_accelerator
    present = next((each for each in all_of_them if each.name == name), None)
    accelerator = all_of_them.add(name=name) if present is None else present
    accelerator.parameters.clear()
    accelerator.parameters.update(parameters)
