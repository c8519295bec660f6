"""A served graph in OpenVINO, by the parameters and in the words of NVIDIA's C++ `openvino` backend.

There the instances of a model share one compiled graph, its threads and its streams; here each is a process
of its own, so that the same configuration means for each its share of the threads, and one stream.

INFERENCE_NUM_THREADS     of all instances together; 0 leaves it to OpenVINO, by default one for each
NUM_STREAMS               a number, AUTO or NUMA: checked alone, see above
PERFORMANCE_HINT          LATENCY, the default, THROUGHPUT or CUMULATIVE_THROUGHPUT
HINT_BF16                 YES: compute in bf16 where the processor can; otherwise in float32, or in int8 where
                          the graph says so
TARGET_DEVICE             CPU
ENABLE_BATCH_PADDING      see check_batching
SKIP_OV_DYNAMIC_BATCHSIZE has nothing to skip here

It is copied into each backend's folder, and runs inside the server's Python stub.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

if TYPE_CHECKING:
    from regard.contract.openvino_settings import settings
    from regard.serving.triton.backends.regard_session import Array, CannotRun, Tensor, graph_file
else:  # inside the server they lie beside this file
    from openvino_settings import settings
    from regard_session import CannotRun, Tensor, graph_file

OLDEST = (2024, 4)  # of NVIDIA's container 24.10
DATA_TYPES = {
    "boolean": "TYPE_BOOL",
    "u8": "TYPE_UINT8",
    "u16": "TYPE_UINT16",
    "u32": "TYPE_UINT32",
    "u64": "TYPE_UINT64",
    "i8": "TYPE_INT8",
    "i16": "TYPE_INT16",
    "i32": "TYPE_INT32",
    "i64": "TYPE_INT64",
    "f16": "TYPE_FP16",
    "f32": "TYPE_FP32",
    "f64": "TYPE_FP64",
}
HINTS = ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT")


class OpenVinoGraph:
    """See `Graph`.

    Args:
        args: of the instance, as the server gives them.
        config: its "model_config", parsed.
    """

    def __init__(self, args: Mapping[str, str], config: Mapping[str, Any]) -> None:
        if args["model_instance_kind"] == "GPU":
            raise pb_utils.TritonModelException("the instance is on a GPU, and OpenVINO runs on the CPU here")
        wanted = settings_of(config)
        file = graph_file(config, config.get("default_model_filename") or "model.xml")
        self._openvino = installed_openvino()
        try:
            compiled = self._openvino.Core().compile_model(str(file), "CPU", wanted)
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise pb_utils.TritonModelException(self._describe("loading model", error)) from None
        self.inputs: Mapping[str, Tensor] = tensors(compiled.inputs)
        self.outputs: Mapping[str, Tensor] = tensors(compiled.outputs)

    def run(self, outputs: Sequence[str], inputs: "Mapping[str, Array]") -> "list[Array]":
        """See `Graph`."""
        try:
            # as tensors: arrays would not be held against the graph's shape
            self._request.infer({name: self._openvino.Tensor(array) for name, array in inputs.items()})
            # copies: the next call writes over the request's tensors
            return [np.array(self._request.get_tensor(name).data) for name in outputs]
        except (RuntimeError, ValueError) as error:
            raise CannotRun(self._describe("running inference", error)) from None

    def _describe(self, doing: str, error: Exception) -> str:
        """An error of OpenVINO in the C++ backend's words, and of which OpenVINO."""
        return f"openvino error in {doing} : {str(error).strip()} (OpenVINO {version_of(self._openvino)})"


def installed_openvino() -> Any:
    """The package; refused where there is none, or none that our graphs were tried in."""
    try:
        import openvino
    except ModuleNotFoundError:
        raise pb_utils.TritonModelException(
            "it runs in OpenVINO, which is not installed; install it with: pip install 'regard[openvino]'"
        ) from None
    if tuple(int(part) for part in version_of(openvino).split(".")[:2]) < OLDEST:
        raise pb_utils.TritonModelException(
            f"OpenVINO {version_of(openvino)} is older than {'.'.join(map(str, OLDEST))}, the "
            "oldest that this was tried with; install another with: pip install 'regard[openvino]'"
        )
    return openvino


def version_of(openvino: Any) -> str:
    """The package's version, without the build."""
    version: str = openvino.__version__.split("-")[0]
    return version


def tensors(found: Sequence[Any]) -> "dict[str, Tensor]":
    """Inputs or outputs of a compiled graph, by each of their names."""
    return {
        name: Tensor(
            DATA_TYPES.get(each.element_type.get_type_name(), str(each.element_type)),
            [-1 if dim.is_dynamic else dim.get_length() for dim in each.partial_shape],
        )
        for each in found
        for name in each.names
    }


def check_batching(config: Mapping[str, Any]) -> None:
    """Refuse a configuration of a model by which the C++ backend would answer batches of one size alone: it
    computes those of max_batch_size, and pads others where it is told to. Nothing is padded here, which
    changes no answer.
    """
    most = config["max_batch_size"]
    if most > 0 and value_of(config, "ENABLE_BATCH_PADDING", "NO") != "YES":
        raise pb_utils.TritonModelException(
            f"with max_batch_size {most} NVIDIA's openvino backend takes batches of exactly {most}: set it "
            "to 0 and put -1 in front of the dims, or set the parameter ENABLE_BATCH_PADDING to YES"
        )


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What OpenVINO is told, from the configuration's parameters."""
    chosen(config, "TARGET_DEVICE", ("CPU",))
    if not value_of(config, "NUM_STREAMS", "AUTO").isdecimal():
        chosen(config, "NUM_STREAMS", ("AUTO", "NUMA", "<number>"))
    bf16 = chosen(config, "HINT_BF16", ("", "YES")) == "YES"
    return settings("bf16" if bf16 else "int8", threads_of(config)) | {
        "PERFORMANCE_HINT": chosen(config, "PERFORMANCE_HINT", HINTS)
    }


def threads_of(config: Mapping[str, Any]) -> int:
    """Those of one instance; 0 leaves it to OpenVINO."""
    instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", ())) or 1
    text = value_of(config, "INFERENCE_NUM_THREADS", str(instances))
    if not text.isdecimal():
        raise pb_utils.TritonModelException(
            f"expected the parameter 'INFERENCE_NUM_THREADS' to be a non-negative number, got {text}"
        )
    return max(1, int(text) // instances) if int(text) else 0


def chosen(config: Mapping[str, Any], key: str, values: Sequence[str]) -> str:
    """A parameter that is one of some values, by default the first; large and small letters are one."""
    value = value_of(config, key, values[0])
    if value not in values:
        raise pb_utils.TritonModelException(
            f"expected the parameter '{key}' to be {'/'.join(filter(None, values))}, got {value}"
        )
    return value


def value_of(config: Mapping[str, Any], key: str, default: str) -> str:
    """A parameter in capital letters; one that is empty counts as absent, as for the C++ backend."""
    value: str = config.get("parameters", {}).get(key, {}).get("string_value", "")
    return value.upper() or default
