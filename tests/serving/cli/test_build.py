"""`regard build`, and what `regard show` says of an engine."""

import itertools
import json
import subprocess
import sys
from collections import Counter

import pytest
from typer.testing import CliRunner

from regard.contract.plan import Layer
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.export.tensorrt import checked
from regard.export.tensorrt.precision_contract import PrecisionError
from regard.serving.cli.app import app


def cli(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def layer_types(text: str) -> dict[str, int]:
    """How many layers of all types a printed table has in each precision."""
    rows = [line.split() for line in text.splitlines()]
    head = rows.index(["layers", "precision", "how", "many"])
    counts: Counter[str] = Counter()
    for row in itertools.takewhile(lambda row: len(row) == 3 and row[2].isdigit(), rows[head + 1 :]):
        counts[row[1]] += int(row[2])
    return counts


def test_an_engine_is_built_and_shown(colour: Artifact) -> None:
    folder = str(colour.folder)
    built = json.loads(cli("build", folder, "--target", "rtx:8.6,8.9", "--workspace", "0.5", "--json"))
    assert built["folder"] == f"{folder}/variants/float32"
    assert (built["state"], built["workspace"]) == ("built, not run", 2**29)
    assert built["compute_capabilities"] == ["8.6", "8.9"]
    assert set(built["layers"]) <= {"float32", "uint8"}
    page = json.loads(cli("show", folder, "--json"))
    assert page["engines"] == [{name: value for name, value in built.items() if name != "folder"}]
    text = cli("show", folder)
    for shown in ("engine of float32: float32, built, not run", "TensorRT-RTX 1.7.1", colour.sha256):
        assert shown in text
    assert "1 x 8 x 8 x 3, best 8 x 8 x 8 x 3, most 8 x 8 x 8 x 3" in text
    text = cli("build", folder, "--target", "rtx:8.6")
    assert "for       rtx:8.6: compute capability 8.6" in text
    assert f"the engine is {folder}/variants/float32/model.plan" in text
    assert layer_types(text) == layer_types(cli("show", folder)) == built["layers"]


def test_layers_in_another_precision_are_listed(colour: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Layer(name="gemm_3", type="gemm", precision="float32", nodes=("node_linear",))

    def refused(*arguments: object, **options: object) -> None:
        raise PrecisionError("they compute otherwise", [layer])

    monkeypatch.setattr(checked, "check_precision", refused)
    result = CliRunner().invoke(app, ["build", str(colour.folder), "--target", "rtx:8.6"])
    assert result.exit_code == 1
    assert isinstance(result.exception, PrecisionError)
    assert result.stdout.splitlines()[1].split() == ["gemm_3", "gemm", "float32", "node_linear"]
    assert not (colour.folder / "variants" / "float32").exists()


def test_a_target_that_there_is_not(colour: Artifact) -> None:
    with pytest.raises(InvalidInput, match=r"compute capability '9\.0'; it builds for 7\.5, 8\.0"):
        cli("build", str(colour.folder), "--target", "rtx:9.0")


def test_images_for_what_does_not_run_here(colour: Artifact) -> None:
    with pytest.raises(InvalidInput, match="images prove an engine that runs here, and rtx:8.6 is for"):
        cli("build", str(colour.folder), "--target", "rtx:8.6", "--images", "photos")


def test_nothing_but_onnx_is_needed_for_a_gpu_elsewhere(colour: Artifact) -> None:
    """As the extra `rtx` brings it."""
    code = (
        "import sys\n"
        "for name in ('onnxruntime', 'torch', 'nncf', 'openvino', 'onnxscript', 'safetensors', 'onnx_ir'):\n"
        "    sys.modules[name] = None\n"
        "from regard.serving.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, "build", str(colour.folder), "--target", "rtx:8.6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "built, not run" in done.stdout


def test_neither_library_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, regard, regard.export.tensorrt.engine; from regard.serving.cli.app import app\n"
        "try: app(['build', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('tensorrt')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
