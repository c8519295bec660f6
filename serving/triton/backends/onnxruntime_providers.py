"""What ONNX Runtime computes by: asked for in the words of NVIDIA's C++ `onnxruntime` backend, and looked for
in the session afterwards, since ONNX Runtime leaves out in silence what does not load.

On a GPU instance CUDA computes, and TensorRT before it where the configuration's gpu_execution_accelerator
says so. TensorRT may fall to CUDA, with a notice; CUDA that falls to the CPU is refused. Without a GPU the
accelerators have no meaning, and the CPU computes.

It is copied into each backend's folder, and runs inside the server's Python stub.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
Provider = tuple[str, dict[str, str]]
# goldens hold in float32, and the default of NVIDIA's libraries rounds its factors to TF32
CUDA_OPTIONS = {"use_tf32": "0"}
NO_TF32 = ("NVIDIA_TF32_OVERRIDE", "0")  # for TensorRT, which has no option: this process is one model's
PRECISION_MODES = {
    "FP32": None,
    "FP16": "trt_fp16_enable",
    "BF16": "trt_bf16_enable",
    "INT8": "trt_int8_enable",
}
# the C++ backend's names of TensorRT's options, where they are not ONNX Runtime's own
RENAMED = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}
NUMBERS = {
    "trt_max_partition_iterations",
    "trt_max_workspace_size",
    "trt_min_subgraph_size",
    "trt_dla_core",
    "trt_builder_optimization_level",
    "trt_auxiliary_streams",
    "trt_ep_context_embed_mode",
}
FLAGS = {"1": "True", "true": "True", "0": "False", "false": "False"}  # as ONNX Runtime's Python takes them
FIRST = "_0"  # the end of the name of a model's first instance on the CPU
CACHE, CACHE_PATH = "trt_engine_cache_enable", "trt_engine_cache_path"


class Providers:
    """What a session is to compute by.

    Args:
        args: of the instance, as the server gives them.
        config: its "model_config", parsed.

    Attributes:
        wanted: for ONNX Runtime, best first.
        notices: what the server's log should tell of them, each a clause.
    """

    def __init__(self, args: Mapping[str, str], config: Mapping[str, Any]) -> None:
        self.notices: list[str] = []
        self.on_gpu = args["model_instance_kind"] == "GPU"
        accelerators = accelerators_of(config)
        self.wanted: list[Provider] = [(CPU, {})]
        if not self.on_gpu:
            if "tensorrt" in accelerators and args["model_instance_name"].endswith(FIRST):
                self.notices.append("computes on the CPU: the instance has no GPU, which TensorRT needs")
            return
        for name in accelerators:
            if name not in ("tensorrt", "cuda"):
                raise pb_utils.TritonModelException(f"unknown Execution Accelerator '{name}' is requested")
        device = {"device_id": args["model_instance_device_id"]}
        self.wanted.insert(0, (CUDA, CUDA_OPTIONS | accelerators.get("cuda", {}) | device))
        if "tensorrt" in accelerators:
            os.environ.setdefault(*NO_TF32)
            options = self._with_cache(tensorrt_options(accelerators["tensorrt"]))
            self.wanted.insert(0, (TENSORRT, options | device))

    def open(self, session: Callable[[list[Provider]], Any], failures: tuple[type[Exception], ...]) -> Any:
        """A session, and what it really computes by.

        session: opens one with providers.
        failures: what that may raise; where TensorRT was asked for, it is tried again without.
        """
        try:
            opened = session(self.wanted)
        except failures as error:
            if self.wanted[0][0] != TENSORRT:
                raise
            self.notices.append(f"computes by CUDA, not by TensorRT, which failed: {_line(error)}")
            self.wanted = self.wanted[1:]
            opened = session(self.wanted)
        self._check(opened.get_providers())
        return opened

    def _check(self, given: Sequence[str]) -> None:
        if self.on_gpu and CUDA not in given:
            raise pb_utils.TritonModelException(
                "the instance is on a GPU, and ONNX Runtime computes on the CPU there: its CUDA provider is "
                "missing or did not load, which the server's log may explain; install onnxruntime-gpu in "
                "place of onnxruntime, with the CUDA and cuDNN that it needs, or set the instance_group's "
                "kind to KIND_CPU"
            )
        if self.wanted[0][0] == TENSORRT and TENSORRT not in given:
            self.notices.append(
                "computes by CUDA, not by TensorRT, which did not load: install the TensorRT that this ONNX "
                "Runtime needs"
            )

    def _with_cache(self, options: dict[str, str]) -> dict[str, str]:
        """The options, without the cache of engines where its folder cannot be written: TensorRT would refuse
        the model for want of a folder, or build its engine again and again without a word.
        """
        if options.get(CACHE) != "True" or CACHE_PATH not in options:
            return options
        folder = Path(options[CACHE_PATH])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            self.notices.append(
                f"builds its TensorRT engine at every load: {folder} cannot be written ({error.strerror})"
            )
            return {key: value for key, value in options.items() if key not in (CACHE, CACHE_PATH)}
        return options


def accelerators_of(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The parameters of a configuration's accelerators for GPUs, by their names."""
    block = (config.get("optimization") or {}).get("execution_accelerators") or {}
    return {
        each["name"]: dict(each.get("parameters") or {})
        for each in block.get("gpu_execution_accelerator") or ()
    }


def tensorrt_options(parameters: Mapping[str, str]) -> dict[str, str]:
    """ONNX Runtime's options of TensorRT from the parameters of the C++ backend."""
    options = {}
    for name, value in parameters.items():
        if name == "precision_mode":
            if value not in PRECISION_MODES:
                raise pb_utils.TritonModelException(f"unsupported precision mode '{value}' is requested")
            if (flag := PRECISION_MODES[value]) is not None:
                options[flag] = "True"
            continue
        option = RENAMED.get(name, name)
        if not option.startswith("trt_"):
            raise pb_utils.TritonModelException(
                f"unknown parameter '{name}' is provided for TensorRT Execution Accelerator"
            )
        options[option] = value if option in NUMBERS else FLAGS.get(value.lower(), value)
    return options


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
