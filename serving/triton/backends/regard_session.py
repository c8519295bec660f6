"""A served graph in ONNX Runtime, as both of our backends run it: held against the configuration at load, all
requests of a batch at once, errors in the words of NVIDIA's C++ `onnxruntime` backend.

It is copied into each backend's folder, and runs inside the server's Python stub: it imports numpy and
onnxruntime only.
"""

import ctypes
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

onnxruntime.disable_telemetry_events()

Array = npt.NDArray[Any]

ONNX_TYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
    "TYPE_STRING": "tensor(string)",
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


class Refused(Exception):
    """A request that gets an error in place of an answer; the others of its batch are answered."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class GraphSession:
    """The session of the model version that is being loaded.

    Args:
        args: of the instance, as the server gives them.
        config: its "model_config", parsed.
    """

    def __init__(self, args: Mapping[str, str], config: Mapping[str, Any]) -> None:
        self.config = config
        on_gpu = args["model_instance_kind"] == "GPU"
        file = Path(pb_utils.get_model_dir()) / model_filename(
            config, int(args["model_instance_device_id"]) if on_gpu else None
        )
        if not file.is_file():
            raise pb_utils.TritonModelException(f"unable to find '{file}' for model '{config['name']}'")
        try:
            self.session = onnxruntime.InferenceSession(
                str(file),
                session_options(config.get("parameters", {})),
                providers=providers(args, on_gpu=on_gpu),
            )
        except ORT_ERRORS as error:
            raise pb_utils.TritonModelException(describe(error)) from None
        give_back_memory()
        self.output_names = [entry["name"] for entry in config["output"]]
        self.has_card = "card" in config.get("parameters", {})  # regard added it
        self.sides = sides_of_card(config)

    def check(self, kind: str) -> None:
        """Refuse a configuration whose inputs or outputs the graph contradicts."""
        tensors = self.session.get_inputs() if kind == "input" else self.session.get_outputs()
        faults = contradictions(self.config, kind, {tensor.name: tensor for tensor in tensors})
        if faults:
            raise pb_utils.TritonModelException(
                f"unable to load model '{self.config['name']}', {'; '.join(faults)}"
            )

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Run once, and refuse a graph that fails on it."""
        try:
            self.session.run(None, dict(inputs))
        except (*ORT_ERRORS, ValueError) as error:  # ValueError: a name that is none of its inputs
            raise pb_utils.TritonModelException(describe(error)) from None

    def answer(self, requests: Sequence[Any], inputs_of: Callable[[Any], Mapping[str, Array]]) -> list[Any]:
        """Answer the requests of one batch, in their order; those of one shape run together.

        inputs_of: what of a request the session is fed; raises Refused.
        """
        responses: list[Any] = [None] * len(requests)
        alike: dict[tuple[Any, ...], list[tuple[int, Mapping[str, Array]]]] = {}
        for index, request in enumerate(requests):
            try:
                check_request(request, self.config)
                inputs = inputs_of(request)
                check_arrays(inputs, self.sides)
            except Refused as refused:
                responses[index] = failed(str(refused), refused.code)
                continue
            # a model without a batch dimension takes its requests one by one
            key = (
                tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
                if self.config["max_batch_size"] > 0
                else (index,)
            )
            alike.setdefault(key, []).append((index, inputs))
        for members in alike.values():
            asked = [requests[index].requested_output_names() for index, _ in members]
            for (index, _), response in zip(
                members, self.run([inputs for _, inputs in members], asked), strict=True
            ):
                responses[index] = response
        return responses

    def run(self, batch: Sequence[Mapping[str, Array]], asked: Sequence[Sequence[str]]) -> Iterator[Any]:
        """Run requests whose arrays differ in their first dimension at most; yield a response for each."""
        wanted = [name for name in self.output_names if any(name in names for names in asked)]
        feed = dict(batch[0])
        if len(batch) > 1:
            feed = {name: np.concatenate([inputs[name] for inputs in batch]) for name in feed}
        try:
            results = dict(zip(wanted, self.session.run(wanted, feed), strict=True))
        except ORT_ERRORS as error:
            for _ in batch:
                yield failed(describe(error), pb_utils.TritonError.INTERNAL)
            return
        start = 0
        for inputs, names in zip(batch, asked, strict=True):
            if len(batch) == 1:
                mine = results
            else:
                stop = start + len(next(iter(inputs.values())))
                # views: rows of one array
                mine = {name: array[start:stop] for name, array in results.items()}
                start = stop
            broken = not_finite(mine, names) if self.has_card else None
            if broken is not None:
                yield failed(
                    f"output '{broken}' holds NaN or infinity, which is no answer of this model's Card",
                    pb_utils.TritonError.INTERNAL,
                )
                continue
            yield pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, np.ascontiguousarray(mine[name])) for name in names]
            )


def check_request(request: Any, config: Mapping[str, Any]) -> None:
    """Refuse what nobody waits for any more, and outputs that there are not."""
    if request.is_cancelled():
        raise Refused("the request was cancelled", pb_utils.TritonError.CANCELLED)
    unknown = set(request.requested_output_names()) - {entry["name"] for entry in config["output"]}
    if unknown:
        raise Refused(
            f"unexpected inference output '{min(unknown)}' for model '{config['name']}'",
            pb_utils.TritonError.INVALID_ARG,
        )


def check_arrays(inputs: Mapping[str, Array], sides: tuple[int, int] | None) -> None:
    """Refuse arrays without elements, and images whose height or width is not within `sides`."""
    for name, array in inputs.items():
        if not array.size:
            raise Refused(
                f"input '{name}' of shape {list(array.shape)} has no elements",
                pb_utils.TritonError.INVALID_ARG,
            )
        if name == "image" and sides is not None:
            height, width = array.shape[1:3]
            if not sides[0] <= min(height, width) <= max(height, width) <= sides[1]:
                raise Refused(
                    f"the images are {height} x {width} (height x width), and the model takes {sides[0]} to "
                    f"{sides[1]} on a side; resize them first",
                    pb_utils.TritonError.INVALID_ARG,
                )


def sides_of_card(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """The smallest and largest height and width that the Card among the parameters allows; None where they
    are fixed, or where there is no Card.
    """
    try:
        contract = json.loads(config["parameters"]["card"]["string_value"])["inputs"][0]
        return (contract["min_size"], contract["max_size"]) if contract["dynamic_size"] else None
    except (KeyError, IndexError, TypeError, ValueError):  # none, or somebody else's parameter
        return None


def not_finite(outputs: Mapping[str, Array], names: Sequence[str]) -> str | None:
    """The first of the outputs of these names that holds NaN or infinity."""
    return next(
        (name for name in names if outputs[name].dtype.kind == "f" and not np.isfinite(outputs[name]).all()),
        None,
    )


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


def providers(args: Mapping[str, str], *, on_gpu: bool) -> list[Any]:
    """CUDA on a GPU instance, the CPU otherwise and for what CUDA lacks."""
    if not on_gpu:
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise pb_utils.TritonModelException(
            "the instance is on a GPU, but this onnxruntime has no CUDA: pip install onnxruntime-gpu"
        )
    return [
        ("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}),
        "CPUExecutionProvider",
    ]


def contradictions(config: Mapping[str, Any], kind: str, tensors: Mapping[str, Any]) -> list[str]:
    """Where the configuration's inputs or outputs depart from the graph's: names, data types, shapes."""
    faults = []
    names = {entry["name"] for entry in config[kind]}
    if kind == "input" and names != set(tensors):
        faults.append(f"configuration expects inputs {sorted(names)}, model provides {sorted(tensors)}")
    for entry in config[kind]:
        name = entry["name"]
        if name not in tensors:
            faults.append(f"unexpected inference {kind} '{name}', allowed {kind}s are: {', '.join(tensors)}")
            continue
        onnx_type = ONNX_TYPES.get(entry["data_type"])
        if tensors[name].type != onnx_type:
            faults.append(
                f"{kind} '{name}': configuration says {entry['data_type']}, model provides "
                f"{tensors[name].type}"
            )
        dims = entry["reshape"]["shape"] if "reshape" in entry else entry["dims"]
        declared = [-1] * (config["max_batch_size"] > 0) + [int(dim) for dim in dims]
        provided = [dim if isinstance(dim, int) else -1 for dim in tensors[name].shape]
        # -1 in the graph takes any size; a size in the graph takes only itself
        if len(declared) != len(provided) or any(
            there not in (-1, here) for here, there in zip(declared, provided, strict=True)
        ):
            faults.append(
                f"{kind} '{name}': the model expects shape {provided}, the configuration declares {declared}"
            )
    return faults


def describe(error: Exception) -> str:
    """An ONNX Runtime error in the C++ backend's words."""
    return f"onnx runtime error {ERROR_NUMBERS.get(type(error).__name__, 1)}: {error}"


def failed(message: str, code: int) -> Any:
    """A response that is an error."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def give_back_memory() -> None:
    """Return to the system what only reading the graph took, often more than the session needs."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library's
    if trim is not None:
        trim(0)
