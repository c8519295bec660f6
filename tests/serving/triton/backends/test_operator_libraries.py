"""Which libraries of operators our backend takes: those in the version's own folder, whatever is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Found = Callable[[str], list[Path]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bare" / "2"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def found(in_stub: Callable[[str], Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    module = in_stub("onnxruntime_graph")
    monkeypatch.setattr(module.pb_utils, "get_model_dir", lambda: str(folder))
    return lambda name: module.operator_libraries(
        {"name": "bare", "model_operations": {"op_library_filename": [name]}}
    )


def test_the_versions_own_file_of_that_name(found: Found, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "operators.so").write_bytes(b"another")
    (folder / "operators.so").write_bytes(b"its own")
    names = ("/models/bare/2/operators.so", "operators.so", "../operators.so", f"{tmp_path}/operators.so")
    for name in names:
        assert found(name) == [folder / "operators.so"]


@pytest.mark.parametrize(
    "name", ["/opt/libraries/evil.so", "../../evil.so", "..", "/models/bare/2/evil.so", "evil.so", ""]
)
def test_none_from_elsewhere(found: Found, tmp_path: Path, name: str) -> None:
    (tmp_path / "evil.so").write_bytes(b"")
    with pytest.raises(RuntimeError, match="taken from the version's own folder alone"):
        found(name)


def test_none_for_a_version_that_needs_none(found: Found) -> None:
    assert found("/models/bare/1/operators.so") == []


def test_a_file_that_is_no_library_is_told_of(
    in_stub: Callable[[str], Any], largest: Any, tmp_path: Path
) -> None:
    (largest.folder / "operators.so").write_bytes(b"no library")
    module = in_stub("onnxruntime_graph")
    config = {"name": "largest", "model_operations": {"op_library_filename": ["operators.so"]}}
    args = {"model_instance_kind": "CPU", "model_instance_device_id": "0"}
    with pytest.raises(RuntimeError, match=r"onnx runtime error 1: .*operators\.so"):
        module.OnnxRuntimeGraph(args, config)
