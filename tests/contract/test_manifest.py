"""Manifests: a file that is missing, changed or added is named."""

from pathlib import Path

import pytest

from regard.contract.manifest import check_files, read_manifest, write_manifest
from regard.errors import InvalidInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "goldens").mkdir()
    for name in ("model.onnx", "card.json", "goldens/a.jpg"):
        (tmp_path / name).write_text(name)
    write_manifest(tmp_path)
    return tmp_path


def test_what_was_written_agrees(folder: Path) -> None:
    manifest = check_files(folder)
    assert list(manifest.files) == ["card.json", "goldens/a.jpg", "model.onnx"]
    assert manifest == read_manifest(folder)


def test_variants_have_manifests_of_their_own(folder: Path) -> None:
    (folder / "variants" / "int8").mkdir(parents=True)
    (folder / "variants" / "int8" / "model.onnx").touch()
    check_files(folder)


def test_a_changed_file(folder: Path) -> None:
    (folder / "model.onnx").write_text("model,onnx")
    with pytest.raises(
        InvalidInput, match=r"model\.onnx is not the file that was written there: its SHA-256"
    ):
        check_files(folder)


def test_a_missing_file(folder: Path) -> None:
    (folder / "goldens" / "a.jpg").unlink()
    with pytest.raises(InvalidInput, match=r"goldens/a\.jpg is missing"):
        check_files(folder)


def test_an_added_file(folder: Path) -> None:
    (folder / "goldens" / "b.jpg").touch()
    with pytest.raises(InvalidInput, match=r"goldens/b\.jpg is no file that manifest\.json lists"):
        check_files(folder)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read .*manifest\.json: No such file.*a draft, or of an"):
        check_files(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 1, "files": {"a"', "is damaged"),
        ("", "is damaged"),
        ('{"schema_version": 2, "files": {}}', "another schema than 1.*install a newer"),
        ('{"schema_version": 1, "files": {"a": "0"}}', "is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_read(folder: Path, text: str, message: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        check_files(folder)
