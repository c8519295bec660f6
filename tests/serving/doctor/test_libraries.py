"""Libraries: there, absent, crashing, and what they give with a GPU and without, by stand-ins."""

import sys
from collections.abc import Callable, Iterable

import pytest
from tests.serving.doctor.findings import NONE, ONE, only
from tests.serving.stand_ins import Programs

from regard.serving.doctor.engines import tensorrt, tensorrt_rtx
from regard.serving.doctor.finding import Finding
from regard.serving.doctor.onnx_runtime import onnx_runtime
from regard.serving.doctor.openvino import openvino
from regard.serving.doctor.pytorch import pytorch
from regard.serving.machine.gpus import Gpus

# ONNX Runtime that gives a session what was asked for and is in GIVEN
ONNX_RUNTIME = """
import sys
__version__ = "1.23.0"
GIVEN, LISTED = {given!r}, {listed!r}
print("EP Error, falling back")
print("Failed to load a provider: libcublasLt.so.12: cannot open shared object file", file=sys.stderr)
def get_available_providers():
    return [name + "ExecutionProvider" for name in LISTED]
class InferenceSession:
    def __init__(self, model, providers):
        self.given = [name for name in providers if name.removesuffix("ExecutionProvider") in GIVEN]
    def get_providers(self):
        return self.given
"""


def onnx_runtime_of(given: str, listed: str) -> str:
    return ONNX_RUNTIME.format(given=given.split(), listed=listed.split())


@pytest.mark.parametrize(
    ("gpus", "given", "listed", "status", "says"),
    [
        (NONE, "CPU", "CPU", "ok", "gives a session CPU"),
        (NONE, "CPU", "Tensorrt CUDA CPU", "ok", "gives a session CPU"),
        (ONE, "Tensorrt CUDA CPU", "Tensorrt CUDA CPU", "ok", "gives a session Tensorrt and CUDA and CPU"),
        (ONE, "CUDA CPU", "CUDA CPU", "ok", "gives a session CUDA and CPU"),
        (ONE, "CUDA CPU", "Tensorrt CUDA CPU", "note", "falls to CUDA (libcublasLt.so.12 not found)"),
        (ONE, "CPU", "CUDA CPU", "problem", "falls to the processors (libcublasLt.so.12 not found)"),
        (ONE, "CPU", "CPU", "problem", "a build for processors, and there is a GPU"),
    ],
)
def test_onnx_runtime_is_judged_by_what_it_gives(
    modules: Programs, gpus: Gpus, given: str, listed: str, status: str, says: str
) -> None:
    modules(onnxruntime=onnx_runtime_of(given, listed))
    finding = only(onnx_runtime(gpus))
    assert finding.status == status
    assert says in finding.says
    assert finding.facts["given"] == [f"{name}ExecutionProvider" for name in given.split()]


def test_two_packages_of_onnx_runtime_overwrite_each_other(
    modules: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules(onnxruntime=onnx_runtime_of("CPU", "CPU"))
    monkeypatch.setattr("regard.serving.doctor.onnx_runtime._installed", lambda package: True)
    finding = only(onnx_runtime(NONE))
    assert finding.status == "problem"
    assert finding.next_step == ("pip uninstall onnxruntime onnxruntime-gpu, then pip install 'regard[cpu]'")


@pytest.mark.parametrize(
    ("check", "module", "extra"),
    [
        (lambda: onnx_runtime(NONE), "onnxruntime", "cpu"),
        (lambda: onnx_runtime(ONE), "onnxruntime", "gpu"),
        (openvino, "openvino", "openvino"),
        (lambda: pytorch(NONE), "torch", "export"),
        (lambda: tensorrt(ONE), "tensorrt", "gpu"),
        (tensorrt_rtx, "tensorrt_rtx", "rtx"),
    ],
)
def test_a_library_that_is_absent_is_a_note_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, check: Callable[[], Iterable[Finding]], module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    finding = only(check())
    assert (finding.status, finding.next_step) == ("note", f"pip install 'regard[{extra}]'")


@pytest.mark.parametrize(
    ("check", "module"),
    [
        (lambda: onnx_runtime(NONE), "onnxruntime"),
        (openvino, "openvino"),
        (lambda: pytorch(NONE), "torch"),
        (lambda: tensorrt(ONE), "tensorrt"),
        (tensorrt_rtx, "tensorrt_rtx"),
    ],
)
def test_a_library_that_crashes_is_a_problem(
    modules: Programs, check: Callable[[], Iterable[Finding]], module: str
) -> None:
    modules(**{module: "import os; os.abort()"})
    finding = only(check())
    assert (finding.status, finding.says) == ("problem", "is installed and was ended by signal 6 (Aborted)")


def test_tensorrt_without_its_libraries_matters_with_a_gpu_alone(modules: Programs) -> None:
    modules(tensorrt="raise ImportError('libnvinfer.so.10')")
    assert [only(tensorrt(gpus)).status for gpus in (NONE, ONE)] == ["note", "problem"]


@pytest.mark.parametrize(
    ("cuda", "given", "gpus", "status"),
    [
        (None, False, NONE, "ok"),
        ("12.6", False, NONE, "ok"),
        ("12.6", True, ONE, "ok"),
        (None, False, ONE, "note"),
        ("12.6", False, ONE, "problem"),
    ],
)
def test_pytorch(modules: Programs, cuda: str | None, given: bool, gpus: Gpus, status: str) -> None:
    modules(
        torch="from types import SimpleNamespace as Of\n__version__ = '2.13.0'\n"
        f"version = Of(cuda={cuda!r})\ncuda = Of(is_available=lambda: {given})\n"
    )
    assert only(pytorch(gpus)).status == status


def test_openvino_without_bf16(modules: Programs) -> None:
    modules(
        openvino="from types import SimpleNamespace as Of\n__version__ = '2026.4.1-1'\n"
        "opset13 = Of(parameter=lambda shape, type: 1, add=lambda one, other: 2)\n"
        "Type = Of(f32='f32', bf16='bf16')\nModel = lambda outputs, inputs: None\n"
        "compiled = Of(get_property=lambda name: 'f32')\n"
        "Core = lambda: Of(available_devices=['CPU'], compile_model=lambda *given: compiled)\n"
    )
    finding = only(openvino())
    assert (finding.status, finding.facts["bf16"]) == ("note", False)
    assert "2026.4.1 on CPU, which has no bf16" in finding.says


def test_openvino_here() -> None:
    pytest.importorskip("openvino")
    assert "CPU" in only(openvino()).facts["devices"]
