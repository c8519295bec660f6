"""What ONNX Runtime is asked to compute by, and what becomes of a session that computes by something else:
with a session that stands in for one on a GPU.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
ON_CPU = {
    "model_instance_kind": "CPU",
    "model_instance_device_id": "0",
    "model_name": "largest",
    "model_version": "7",
    "model_instance_name": "largest_0_0",
}
ON_GPU = ON_CPU | {"model_instance_kind": "GPU", "model_instance_device_id": "3"}


class Failed(Exception):
    """As ONNX Runtime's own errors are."""


def config(**accelerators: dict[str, str]) -> dict[str, Any]:
    listed = [{"name": name, "parameters": parameters} for name, parameters in accelerators.items()]
    return {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": listed}}}


@pytest.fixture
def module(in_stub: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # what a process sets of it ends with the test
    return in_stub("onnxruntime_providers")


class Session:
    """One that really computes by some of what it was asked for: what does not load is left out."""

    def __init__(self, wanted: Sequence[tuple[str, dict[str, str]]], *, missing: Sequence[str]) -> None:
        self.given = [name for name, _ in wanted if name not in missing]

    def get_providers(self) -> list[str]:
        return self.given


def opened(providers: Any, *missing: str, failing: str | None = None) -> Session:
    def session(wanted: Sequence[tuple[str, dict[str, str]]]) -> Session:
        if failing in [name for name, _ in wanted]:
            raise Failed("could not deserialize engine\n from cache")
        return Session(wanted, missing=missing)

    found: Session = providers.open(session, (Failed,))
    return found


def test_a_gpu_computes_float32_in_float32(module: Any) -> None:
    providers = module.Providers(ON_GPU, {})
    assert providers.wanted == [(CUDA, {"use_tf32": "0", "device_id": "3"}), (CPU, {})]
    opened(providers)
    assert providers.notices == []
    faster = module.Providers(ON_GPU, config(cuda={"use_tf32": "1", "cudnn_conv_algo_search": "HEURISTIC"}))
    assert faster.wanted[0][1] == {
        "use_tf32": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "device_id": "3",
    }


def test_tensorrt_computes_float32_in_float32(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the only setting that it has, unless somebody has set it."""
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    module.Providers(ON_GPU, config(cuda={}))
    assert "NVIDIA_TF32_OVERRIDE" not in os.environ
    module.Providers(ON_GPU, config(tensorrt={}))
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    module.Providers(ON_GPU, config(tensorrt={}))
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"


def test_tensorrt_by_the_names_of_the_cpp_backend(module: Any, tmp_path: Path) -> None:
    parameters = {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": "1073741824",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path / "new" / "cache"),
        "trt_min_subgraph_size": "1",
        "trt_profile_min_shapes": "image:1x16x16x3",
        "int8_use_native_calibration_table": "false",
    }
    providers = module.Providers(ON_GPU, config(tensorrt=parameters, cuda={"use_tf32": "0"}))
    assert [name for name, _ in providers.wanted] == [TENSORRT, CUDA, CPU]
    assert providers.wanted[0][1] == {
        "trt_fp16_enable": "True",
        "trt_max_workspace_size": "1073741824",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(tmp_path / "new" / "cache"),
        "trt_min_subgraph_size": "1",
        "trt_profile_min_shapes": "image:1x16x16x3",
        "trt_int8_use_native_calibration_table": "False",
        "device_id": "3",
    }
    assert [*(tmp_path / "new" / "cache").iterdir()] == []
    opened(providers)
    assert providers.notices == []


@pytest.mark.parametrize(
    ("accelerators", "words"),
    [
        ({"tensorrt": {"precision_mode": "FP8"}}, "unsupported precision mode 'FP8' is requested"),
        ({"tensorrt": {"workspace": "1"}}, "unknown parameter 'workspace' is provided for TensorRT"),
        ({"openvino": {}}, "unknown Execution Accelerator 'openvino' is requested"),
    ],
    ids=["precision", "parameter", "accelerator"],
)
def test_what_the_cpp_backend_refuses(module: Any, accelerators: dict[str, Any], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        module.Providers(ON_GPU, config(**accelerators))


def test_tensorrt_that_falls_to_cuda_is_told(module: Any) -> None:
    """Left out in silence, or failing as it is opened, by a damaged cache for instance."""
    providers = module.Providers(ON_GPU, config(tensorrt={}))
    assert opened(providers, TENSORRT).given == [CUDA, CPU]
    (notice,) = providers.notices
    assert notice.startswith("computes by CUDA, not by TensorRT, which did not load")
    providers = module.Providers(ON_GPU, config(tensorrt={}))
    assert opened(providers, failing=TENSORRT).given == [CUDA, CPU]
    assert providers.notices == [
        "computes by CUDA, not by TensorRT, which failed: could not deserialize engine from cache"
    ]


@pytest.mark.parametrize("missing", [(CUDA,), (CUDA, TENSORRT)], ids=["CUDA", "both"])
@pytest.mark.parametrize("accelerators", [{}, {"tensorrt": {}}], ids=["CUDA", "TensorRT"])
def test_cuda_that_falls_to_the_cpu_is_refused(
    module: Any, accelerators: dict[str, Any], missing: tuple[str, ...]
) -> None:
    with pytest.raises(RuntimeError, match="the instance is on a GPU, and ONNX Runtime computes on the CPU"):
        opened(module.Providers(ON_GPU, config(**accelerators)), *missing)


def test_a_failure_of_cuda_is_a_failure(module: Any) -> None:
    for accelerators in ({}, {"tensorrt": {}}):
        with pytest.raises(Failed):
            opened(module.Providers(ON_GPU, config(**accelerators)), failing=CUDA)


def test_a_cache_that_cannot_be_written(module: Any, tmp_path: Path) -> None:
    """It is left out, and the model loads."""
    (tmp_path / "file").write_text("in the way")
    cache = str(tmp_path / "file" / "cache")
    parameters = {"trt_engine_cache_enable": "true", "trt_engine_cache_path": cache}
    providers = module.Providers(ON_GPU, config(tensorrt=parameters))
    assert providers.wanted[0] == (TENSORRT, {"device_id": "3"})
    assert providers.notices == [
        f"builds its TensorRT engine at every load: {cache} cannot be written (Not a directory)"
    ]


def test_without_a_gpu_the_cpu_computes_and_says_so(module: Any) -> None:
    """Of TensorRT alone: CUDA's settings ask for nothing. What cannot be read is for GPUs too."""
    providers = module.Providers(ON_CPU, config(tensorrt={"precision_mode": "FP8"}, cuda={}))
    assert providers.wanted == [(CPU, {})]
    assert providers.notices == ["computes on the CPU: the instance has no GPU, which TensorRT needs"]
    opened(providers)
    second = ON_CPU | {"model_instance_name": "largest_0_1"}
    assert module.Providers(second, config(tensorrt={})).notices == []  # the first has said it
    assert module.Providers(ON_CPU, config(cuda={"use_tf32": "0"})).notices == []
    assert module.Providers(ON_CPU, {"optimization": None}).notices == []


def test_a_gpu_instance_where_onnx_runtime_has_the_cpu_alone(
    in_stub: Callable[[str], Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ONNX Runtime that is installed here: a real session, which falls to the CPU in silence."""
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    graph = in_stub("onnxruntime_graph").OnnxRuntimeGraph
    whole = {"name": "largest", "default_model_filename": "model.onnx"} | config(tensorrt={})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells the process what it does not tell its caller
        with pytest.raises(RuntimeError, match="the instance is on a GPU, and ONNX Runtime computes on the"):
            graph(ON_GPU, whole)
    capfd.readouterr()
    graph(ON_CPU, whole)
    told = "computes on the CPU: the instance has no GPU, which TensorRT needs"
    assert capfd.readouterr().err == f"regard: model 'largest' version 7 {told}\n"


def test_a_provider_that_throws_is_not_replaced_by_onnx_runtime_itself(
    in_stub: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose own second try is without options: on another GPU, and in TF32."""
    module = in_stub("onnxruntime_graph")
    tried: list[tuple[Any, Any]] = []

    def create(self: Any, providers: Any, options: Any, *others: Any) -> None:
        tried.append((providers, options))
        raise RuntimeError("std::exception of a provider")

    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(module.onnxruntime.InferenceSession, "_create_inference_session", create)
    with pytest.raises(RuntimeError, match="onnx runtime error 1: std::exception of a provider"):
        module.OnnxRuntimeGraph(ON_GPU, {"name": "largest"} | config(tensorrt={}))
    cuda = (CUDA, {"use_tf32": "0", "device_id": "3"})
    assert tried == [
        ([(TENSORRT, {"device_id": "3"}), cuda, (CPU, {})], None),
        ([cuda, (CPU, {})], None),
    ]
