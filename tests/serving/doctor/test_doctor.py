"""`regard doctor` as a whole, on this machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.serving.stand_ins import Programs
from typer.testing import CliRunner

from regard.serving.cli.app import app
from regard.serving.cli.extras import EXTRAS
from regard.serving.doctor import examine
from regard.serving.doctor.finding import Finding, note, ok, problem

LIGHT = ("onnx", "onnxruntime", "openvino", "pytriton", "tensorrt", "tensorrt_rtx", "torch")

# leaves the names of all modules that were opened; a slow machine may take its time
OPENED = """
from regard.serving.machine import asking
asking.PROBE_SECONDS = 200.0
import atexit, pathlib, sys
atexit.register(lambda: pathlib.Path("all").write_text("\\n".join(sys.modules)))
"""


@pytest.fixture(autouse=True)
def _no_gpu(programs: Programs) -> None:
    """The machine has no GPU, and none of the other programs that are asked."""
    programs(nvidia_smi="echo No devices were found")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries that take long to open are absent."""
    for module in ("openvino", "torch"):
        monkeypatch.setitem(sys.modules, module, None)


def doctor(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *arguments], catch_exceptions=False)


def run(program: str, folder: Path) -> dict[str, Any]:
    """What the doctor says as JSON in a process of its own, after some lines of Python."""
    start = "from regard.serving.cli.app import main\n"
    done = subprocess.run(
        [sys.executable, "-c", program + start + "main()", "doctor", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_this_machine(tmp_path: Path) -> None:
    said = run(OPENED, tmp_path)
    assert said["works"]
    found = {each["about"]: each for each in said["findings"]}
    for about in ("memory", "ONNX Runtime", "PyTorch", "embedded Triton"):
        assert found[about]["status"] == "ok"
    assert found["ONNX Runtime"]["facts"]["given"][-1] == "CPUExecutionProvider"
    opened = set((tmp_path / "all").read_text().splitlines())
    assert not {"torch", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"} & opened


def test_a_light_install_works_and_is_told_what_each_extra_brings(tmp_path: Path) -> None:
    (tmp_path / "model_repository").mkdir()
    said = run(f"import sys\nsys.modules.update(dict.fromkeys({LIGHT!r}))\n", tmp_path)
    assert said["works"]
    lacking = {
        each["about"]: each["next_step"] for each in said["findings"] if "not installed" in each["says"]
    }
    assert lacking == {
        "ONNX Runtime": "pip install 'regard[cpu]'",
        "OpenVINO": "pip install 'regard[openvino]'",
        "PyTorch": "pip install 'regard[export]'",
        "TensorRT": "pip install 'regard[gpu]'",
        "TensorRT-RTX": "pip install 'regard[rtx]'",
        "embedded Triton": "pip install 'regard[server]'",
        "repository": "pip install 'regard[server]'",
    }
    for about, module in {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "PyTorch": "torch"}.items():
        assert f"regard[{EXTRAS[module]}]" in lacking[about]  # as every verb says that needs it


@pytest.mark.usefixtures("quick")
def test_a_repository_that_is_named_must_be_there(tmp_path: Path) -> None:
    result = doctor("--repository", str(tmp_path / "nowhere"), "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert not said["works"]
    (finding,) = [each for each in said["findings"] if each["status"] == "problem"]
    assert "does not exist" in finding["says"]


@pytest.mark.usefixtures("quick")
def test_a_gpu_that_onnx_runtime_does_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs, modules: Programs
) -> None:
    monkeypatch.chdir(tmp_path)
    programs(nvidia_smi="echo 'Stand-in, 8.6, 24564, 550.54'")
    modules(
        onnxruntime="from types import SimpleNamespace as Of\n__version__ = '1.23.0'\n"
        "get_available_providers = lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider']\n"
        "given = lambda: ['CPUExecutionProvider']\n"
        "InferenceSession = lambda model, providers: Of(get_providers=given)\n"
    )
    result = doctor()
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if "ONNX Runtime" in line]
    assert line.startswith("problem")
    assert "it lists CUDA and falls to the processors" in line
    assert "Stand-in (compute capability 8.6" in result.stdout


@pytest.mark.parametrize(
    ("findings", "code", "summary"),
    [
        ([ok("one", "is well")], 0, "0 problems, 0 notes"),
        ([ok("one", "is well"), note("two", "is absent", "add it")], 0, "0 problems, 1 note"),
        (
            [note("two", "is absent", "add it"), problem("three", "is broken", "mend it")],
            1,
            "1 problem, 1 note",
        ),
    ],
)
def test_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], code: int, summary: str
) -> None:
    monkeypatch.setattr(examine, "examine", lambda repository: findings)
    result = doctor()
    assert result.exit_code == code
    for finding in findings:
        (line,) = [line for line in result.stdout.splitlines() if finding.about in line]
        for part in (finding.status, finding.says, finding.next_step or ""):
            assert part in line
    assert result.stdout.splitlines()[-1].startswith(summary)
