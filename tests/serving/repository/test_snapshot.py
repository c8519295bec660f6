"""When two moments of a repository differ, which versions a configuration chooses, and who needs whom."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.serving.repository.dependencies import in_order, needed_by
from regard.serving.repository.snapshot import FolderState, snapshot
from regard.serving.repository.version_policy import chosen, with_versions


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model = tmp_path / "repository" / "m"
    for version in ("1", "2"):
        (model / version).mkdir(parents=True)
        (model / version / "model.onnx").write_text(version)
    (model / "config.pbtxt").write_text("")
    return model


def rewrite(model: Path) -> None:
    """The same size and time, by a rename."""
    file = model / "1" / "model.onnx"
    (model / "new").write_text("x")
    os.utime(model / "new", ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    (model / "new").rename(file)


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        lambda model: (model / "1" / "model.onnx").write_text("longer"),
        lambda model: (model / "config.pbtxt").unlink(),
        lambda model: (model / "3").mkdir(),
        lambda model: os.utime(model / "1" / "model.onnx"),
    ],
)
def test_a_change_is_seen(model: Path, change: Callable[[Path], object]) -> None:
    before = snapshot(model.parent)["m"]
    assert snapshot(model.parent)["m"] == before
    change(model)
    after = snapshot(model.parent)["m"]
    assert after != before
    assert after.of(2) == before.of(2)


def test_what_is_gone_and_what_cannot_be_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, state in ((FileNotFoundError, {}), (PermissionError, {"m": FolderState((), {})})):

        def refuse(folder: Path, error: type[OSError] = error) -> list[int]:
            raise error(folder)

        monkeypatch.setattr("regard.serving.repository.snapshot.versions_in", refuse)
        assert snapshot(model.parent) == state


def test_what_the_server_writes_is_no_change(model: Path) -> None:
    before = snapshot(model.parent)
    (model / "1" / "__pycache__").mkdir()
    (model / "1" / "__pycache__" / "model.pyc").touch()
    assert snapshot(model.parent) == before


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("", (4,)),
        ("version_policy { latest { num_versions: 2 } }", (2, 4)),
        ("version_policy { all {} }", (1, 2, 4)),
        ("version_policy { specific { versions: [1, 3] } }", (1,)),
        ("version_policy { specific { versions: [3] } }", ()),
    ],
)
def test_versions_that_are_chosen(policy: str, versions: tuple[int, ...]) -> None:
    config = text_format.Parse(f'name: "m" {policy}', ModelConfig())
    assert chosen(config, [1, 2, 4]) == versions
    narrowed = with_versions(config, versions)
    assert narrowed.name == "m"
    assert chosen(narrowed, [1, 2, 3, 4]) == versions


def test_what_is_needed_comes_first() -> None:
    ensemble = text_format.Parse(
        'ensemble_scheduling { step [{ model_name: "b" }, { model_name: "a" }] }', ModelConfig()
    )
    image = text_format.Parse(
        'backend: "regard_image" parameters { key: "model" value { string_value: "a" } }', ModelConfig()
    )
    assert needed_by(ensemble) == {"a", "b"}
    assert needed_by(image) == {"a"}
    assert needed_by(ModelConfig(backend="onnxruntime")) == frozenset()
    needs = {"e": needed_by(ensemble), "b": frozenset({"i", "elsewhere"}), "i": needed_by(image)}
    assert list(in_order(needs | {"a": frozenset()})) == [["a"], ["i"], ["b"], ["e"]]
    assert list(in_order({"x": frozenset({"y"}), "y": frozenset({"x"})})) == [["x", "y"]]
