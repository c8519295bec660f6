import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from tests.export.conftest import CLASSES, Exported

from regard.contract.digest import sha256
from regard.contract.reading import card_from_file
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import check_fits, read_artifact, read_unproven


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
        (
            {"answer": {"kind": "classes", "labels": ("a", "b"), "activation": "softmax"}},
            "no probabilities, only label_map, attention_gate",
        ),
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
        fields[key] = (
            [fields[key][0] | value] if key == "inputs" else value if "kind" in value else fields[key] | value
        )
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


def _rewrite_card(folder: Path, **fields: object) -> None:
    card = card_from_file(folder / "card.json")
    (folder / "card.json").write_text(card.updated(**fields).to_json())


def _edit_errors(folder: Path) -> None:
    text = (folder / "card.json").read_text()
    (folder / "card.json").write_text(re.sub(r'"max_error": [0-9.e-]+', '"max_error": 1e-9', text))


def _another_graph(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, folder / "model.onnx")


def _permute_labels(folder: Path) -> None:
    answer = card_from_file(folder / "card.json").answer
    _rewrite_card(folder, answer=answer.model_dump() | {"labels": answer.labels[::-1]})


def _strip_the_inner_card(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "model.onnx")


TAMPERING: dict[str, tuple[Callable[[Path], None], str]] = {
    "another graph": (_another_graph, r"model\.onnx is not the graph that was proven: its SHA-256 is"),
    "edited errors": (_edit_errors, r"card\.json is not the file that was written there"),
    "permuted labels": (_permute_labels, r"card\.json and the Card inside model\.onnx differ in answer"),
    "a stripped inner Card": (_strip_the_inner_card, r"model\.onnx holds no Card"),
    "no certificate": (lambda folder: _rewrite_card(folder, certificates=()), "was never proven"),
    "a golden more": (
        lambda folder: (folder / "goldens" / "x.png").touch(),
        r"goldens/x\.png is no file that",
    ),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), r"cannot read .*manifest\.json"),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPERING.values(), ids=TAMPERING.keys())
def test_what_differs_is_named(copy: Path, tamper: Callable[[Path], None], message: str) -> None:
    read_artifact(copy)
    tamper(copy)
    with pytest.raises(InvalidInput, match=message):
        read_artifact(copy)
    assert read_unproven(copy).card.certificates == ()  # all the same, where it is asked for


def test_a_draft_is_refused(copy: Path, exported: Exported) -> None:
    (certificate, *_) = exported.card.certificates
    failed = certificate.model_copy(update={"max_error": 0.0})
    _rewrite_card(copy, certificates=(failed.model_dump(),))
    with pytest.raises(InvalidInput, match="failed its proof: it departs from PyTorch"):
        read_artifact(copy)


def test_a_pinned_manifest(copy: Path) -> None:
    pinned = sha256(copy / "manifest.json")
    assert read_artifact(copy, expect=pinned.upper()).folder == copy
    with pytest.raises(InvalidInput, match=f"has SHA-256 {pinned}, expected was 0000"):
        read_artifact(copy, expect="0000")


def test_weights_that_no_file_holds_are_refused_before_tracing() -> None:
    check_fits(2**31 - 1, "small")
    with pytest.raises(ExportError, match=r"the weights of giant take 2\.5 GiB.*less than 2"):
        check_fits(5 * 2**29, "giant")
