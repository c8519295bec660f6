"""What of a configuration depends on the runtime that computes: ONNX Runtime, OpenVINO by the parameters of
NVIDIA's C++ `openvino` backend (docs/decisions/0044), or an engine in its `tensorrt` backend.
"""

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup, ModelParameter

from regard.contract.variant import Precision
from regard.errors import InvalidInput
from regard.serving.repository.accelerators import CUDA, asks_for, compute_float32

ONNX_RUNTIME, OPENVINO, TENSORRT = "onnxruntime", "openvino", "tensorrt"  # backends of endpoints for tensors
INTRA_OP, INTER_OP = "intra_op_thread_count", "inter_op_thread_count"  # ONNX Runtime's parameters
IMAGE_BACKEND = "regard_image"  # serving/triton/backends/regard_image
STREAM_BACKEND = "regard_stream"  # serving/triton/backends/regard_stream
RAW_BACKENDS = (IMAGE_BACKEND, STREAM_BACKEND)  # of the endpoints for files and texts
RUNTIME = "runtime"  # its parameter that names the runtime, where that is not ONNX Runtime
BF16 = "HINT_BF16"


def runtime_of(config: ModelConfig) -> str:
    """The runtime, or another backend than ours, that computes what an endpoint answers."""
    if config.backend in RAW_BACKENDS:
        return config.parameters[RUNTIME].string_value if RUNTIME in config.parameters else ONNX_RUNTIME
    backend: str = config.backend or config.platform
    return ONNX_RUNTIME if backend == "onnxruntime_onnx" else backend


def way_of(config: ModelConfig) -> str:
    """How an endpoint computes, in words: all versions of a model share it."""
    runtime = runtime_of(config)
    if runtime != OPENVINO:
        return runtime
    return f"{runtime} in bf16" if BF16 in config.parameters else f"{runtime} in int8"


def fit_onnx_runtime(config: ModelConfig) -> None:
    """Say what of a configuration is ONNX Runtime's."""
    set_parameter(config, INTER_OP, "1")
    compute_float32(config)


def renew_onnx_runtime(config: ModelConfig) -> None:
    """Add what an earlier regard did not write for ONNX Runtime: how CUDA computes float32. What an operator
    says of CUDA stays, and so does the configuration of another runtime.
    """
    if runtime_of(config) == ONNX_RUNTIME and not asks_for(config, CUDA):
        compute_float32(config)


def forget_onnx_runtime(config: ModelConfig) -> None:
    """Leave out what of a configuration is ONNX Runtime's: threads, graph optimization, accelerators."""
    for key in (INTRA_OP, INTER_OP):
        if key in config.parameters:
            del config.parameters[key]
    config.optimization.ClearField("graph")
    config.optimization.ClearField("execution_accelerators")
    if not config.optimization.ListFields():
        config.ClearField("optimization")


def fit_openvino(config: ModelConfig, precision: Precision) -> None:
    """Turn a configuration with batches into one that NVIDIA's `openvino` backend takes.

    It fixes the batch to max_batch_size where there is one, runs on the CPU alone, and has no parameter for
    float32.
    """
    config.max_batch_size = 0
    for tensor in (*config.input, *config.output):
        tensor.dims.insert(0, -1)
    for warmup in config.model_warmup:
        for name in warmup.inputs:
            warmup.inputs[name].dims.insert(0, warmup.batch_size)
    for group in config.instance_group:
        group.kind = ModelInstanceGroup.KIND_CPU
    set_parameter(config, "PERFORMANCE_HINT", "LATENCY")
    if precision == "bf16":
        set_parameter(config, BF16, "YES")


def declare_batches(config: ModelConfig, most: int) -> None:
    """Undo what `fit_openvino` made of batches, where a backend of ours computes."""
    config.max_batch_size = most
    for tensor in config.output:
        del tensor.dims[0]


def set_threads(config: ModelConfig, threads: int) -> None:
    """How many threads each session computes with; an engine has none."""
    if runtime_of(config) == TENSORRT:
        return
    if runtime_of(config) != OPENVINO:
        set_parameter(config, INTRA_OP, str(threads))
        return
    # in NVIDIA's backend the instances of a model share its streams and threads
    instances = sum(int(group.count) for group in config.instance_group)
    set_parameter(config, "NUM_STREAMS", str(instances))
    set_parameter(config, "INFERENCE_NUM_THREADS", str(instances * threads))


def check_batching(config: ModelConfig) -> None:
    """Refuse to work on several requests together where the runtime cannot.

    Raises:
        InvalidInput: it is OpenVINO, or the requests are steps of sessions.
    """
    if config.HasField("sequence_batching"):
        raise InvalidInput(
            f"{config.name} keeps a state, and takes the steps of its sessions one by one; leave batching out"
        )
    if runtime_of(config) == OPENVINO:
        raise InvalidInput(
            f"{config.name} runs in OpenVINO, which takes each request by itself, since NVIDIA's backend "
            "knows batches of one size only; leave batching out"
        )


def set_parameter(config: ModelConfig, key: str, value: str) -> None:
    """Set one of a configuration's parameters."""
    config.parameters[key].CopyFrom(ModelParameter(string_value=value))
