"""A served graph in ONNX Runtime, by the parameters and in the words of NVIDIA's C++ `onnxruntime` backend.

It is copied into each backend's folder, and runs inside the server's Python stub.
"""

import ctypes
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import onnxruntime
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

if TYPE_CHECKING:
    from regard.serving.triton.backends.onnxruntime_providers import Provider, Providers
    from regard.serving.triton.backends.regard_session import Array, CannotRun, Tensor, graph_file
else:  # inside the server they lie beside this file
    from onnxruntime_providers import Provider, Providers
    from regard_session import CannotRun, Tensor, graph_file

onnxruntime.disable_telemetry_events()

DATA_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}
ERROR_NUMBERS = {  # OrtErrorCode, as the C++ backend prints it
    "Fail": 1,
    "InvalidArgument": 2,
    "NoSuchFile": 3,
    "NoModel": 4,
    "EngineError": 5,
    "RuntimeException": 6,
    "InvalidProtobuf": 7,
    "ModelLoaded": 8,
    "NotImplemented": 9,
    "InvalidGraph": 10,
    "EPFail": 11,
}
ORT_ERRORS = tuple(getattr(ort_errors, name) for name in ERROR_NUMBERS if hasattr(ort_errors, name))


class OnnxRuntimeGraph:
    """See `Graph`.

    Args:
        args: of the instance, as the server gives them.
        config: its "model_config", parsed.
    """

    def __init__(self, args: Mapping[str, str], config: Mapping[str, Any]) -> None:
        providers = Providers(args, config)
        gpu = int(args["model_instance_device_id"]) if providers.on_gpu else None
        file = graph_file(config, model_filename(config, gpu))
        options = session_options(config.get("parameters", {}))

        def session(wanted: "list[Provider]") -> onnxruntime.InferenceSession:
            return open_session(file, options, wanted)

        try:
            for library in operator_libraries(config):
                options.register_custom_ops_library(str(library))
            self._session = providers.open(session, ORT_ERRORS)
        except ORT_ERRORS as error:
            raise pb_utils.TritonModelException(describe(error)) from None
        for notice in providers.notices:
            tell(args, notice)
        self.inputs: Mapping[str, Tensor] = tensors(self._session.get_inputs())
        self.outputs: Mapping[str, Tensor] = tensors(self._session.get_outputs())

    def run(self, outputs: Sequence[str], inputs: "Mapping[str, Array]") -> "list[Array]":
        """See `Graph`."""
        try:
            values: list[Array] = self._session.run(outputs, dict(inputs))
        except (*ORT_ERRORS, ValueError) as error:  # ValueError: a name that is none of its inputs
            raise CannotRun(describe(error)) from None
        return values


def open_session(
    file: Path, options: onnxruntime.SessionOptions, wanted: "list[Provider]"
) -> onnxruntime.InferenceSession:
    """A session by these providers, or an error of ORT_ERRORS. By itself ONNX Runtime's Python would try
    others when they fail, without the options that keep float32 exact and name the GPU, and, while it runs,
    the CPU.
    """
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=wanted, enable_fallback=0)
    except (RuntimeError, ValueError) as error:  # thrown by a provider, without a code
        raise ort_errors.Fail(str(error)) from error


def tensors(found: Sequence[Any]) -> "dict[str, Tensor]":
    """Inputs or outputs of a session, by name."""
    return {
        each.name: Tensor(
            DATA_TYPES.get(each.type, str(each.type)),
            [dim if isinstance(dim, int) else -1 for dim in each.shape],
        )
        for each in found
    }


def model_filename(config: Mapping[str, Any], gpu: int | None) -> str:
    """The graph's file: cc_model_filenames' for the GPU's compute capability, else default_model_filename,
    else model.onnx.
    """
    special: Mapping[str, str] = config.get("cc_model_filenames") or {}
    if gpu is not None and special:
        capability = compute_capability(gpu)
        if capability in special:
            return special[capability]
    return config.get("default_model_filename") or "model.onnx"


def operator_libraries(config: Mapping[str, Any]) -> list[Path]:
    """The libraries of operators that a configuration names, by their files' names in the folder of the
    version that is being loaded: from no other place is code taken.
    """
    folder = Path(pb_utils.get_model_dir())
    found = []
    for name in (config.get("model_operations") or {}).get("op_library_filename", ()):
        named = PurePosixPath(name)
        if (folder / named.name).is_file():
            found.append(folder / named.name)
        elif not named.parent.name.isdecimal() or named.parent.name == folder.name:  # else another version's
            raise pb_utils.TritonModelException(
                f"unable to find '{named.name}', a library of operators of model '{config['name']}', in "
                f"{folder}: libraries are taken from the version's own folder alone"
            )
    return found


def compute_capability(gpu: int) -> str:
    """The GPU's compute capability, "9.0" for instance, asked from the CUDA driver."""
    cuda = ctypes.CDLL("libcuda.so.1")
    major, minor, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    cuda.cuInit(0)
    cuda.cuDeviceGet(ctypes.byref(device), gpu)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    return f"{major.value}.{minor.value}"


def session_options(parameters: Mapping[str, Any]) -> onnxruntime.SessionOptions:
    """ONNX Runtime's options from the configuration's parameters, under the names of the C++ backend."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = thread_count(parameters, "intra_op_thread_count")
    options.inter_op_num_threads = thread_count(parameters, "inter_op_thread_count")
    return options


def thread_count(parameters: Mapping[str, Any], key: str) -> int:
    """The parameter as a number; 0, the default, leaves it to ONNX Runtime."""
    text = parameters.get(key, {}).get("string_value", "0")
    try:
        count = int(text)
    except ValueError:
        count = -1
    if count < 0:
        raise pb_utils.TritonModelException(
            f"parameter {key} must be a number of threads, 0 or more, got '{text}'"
        )
    return count


def tell(args: Mapping[str, str], notice: str) -> None:
    """Tell the server's log of how a model computes; `regard serve` reads it there. The server's own logger
    would tell it a moment after the model is ready.
    """
    print(
        f"regard: model '{args['model_name']}' version {args['model_version']} {notice}",
        file=sys.stderr,
        flush=True,
    )


def describe(error: Exception) -> str:
    """An ONNX Runtime error in the C++ backend's words."""
    return f"onnx runtime error {ERROR_NUMBERS.get(type(error).__name__, 1)}: {error}"
