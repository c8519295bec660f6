import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.export.conftest import CLASSES, Exported

from regard.errors import InvalidInput
from regard.export.artifact import read_artifact


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.artifact.folder, tmp_path / "copy"))


def test_not_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no model\.onnx and no card\.json.*regard export"):
        read_artifact(tmp_path)


def test_a_truncated_graph(copy: Path) -> None:
    model = copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="no whole ONNX file"):
        read_artifact(copy)


def test_an_empty_graph(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"")
    with pytest.raises(InvalidInput, match="empty graph"):
        read_artifact(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "classification"}, "no probabilities, only label_map, attention_gate"),
        (
            {"inputs": {"resize": "stretch", "dynamic_size": False}},
            r"image is uint8 \['batch', 'height', 'width', 3\].*\['batch', 32, 48, 3\]",
        ),
        ({"inputs": {"mean": (0.5, 0.5, 0.5)}}, "differ in inputs"),
        ({"answer": {"labels": tuple(map(str, range(CLASSES)))}}, "differ in answer"),
    ],
)
def test_a_card_that_contradicts_the_graph(
    copy: Path, exported: Exported, changes: dict[str, object], message: str
) -> None:
    fields = exported.card.model_dump()
    for key, value in changes.items():
        fields[key] = [fields[key][0] | value] if key == "inputs" else fields[key] | value
    (copy / "card.json").write_text(exported.card.updated(**fields).to_json())
    with pytest.raises(InvalidInput, match=message):
        read_artifact(copy)


def test_reading_one_needs_no_torch(exported: Exported) -> None:
    """A server and its repository do, where torch is not installed."""
    script = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None\n"
        "from regard.export.artifact import read_artifact; print(read_artifact(Path(sys.argv[1])).card.name)"
    )
    command = [sys.executable, "-c", script, str(exported.artifact.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == exported.card.name
