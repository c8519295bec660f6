"""A folder behind a URL is as good as one on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tests.serving.batch.conftest import picture, stopping

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.batch.model import ArtifactModel
from regard.serving.batch.run import batch
from regard.serving.batch.storage import Storage, open_storage


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, which is no local one: what is said to it, object storage takes."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, memory: Any, tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "new") if request.param == "local" else "memory://bucket/new")


def test_files_come_and_are_listed(storage: Storage) -> None:
    assert storage.files() == []
    storage.write("b/c.txt", b"one")
    storage.write("a.txt", b"two")
    storage.write("a.txt", b"three")
    assert storage.files() == ["a.txt", "b/c.txt"]
    assert storage.read(storage.path("a.txt")) == b"three"
    with storage.opened("b/c.txt") as file:
        assert file.read() == b"one"


def test_a_file_is_created_by_one_alone(storage: Storage) -> None:
    assert storage.create("a.txt", b"first")
    assert not storage.create("a.txt", b"second")
    assert storage.read(storage.path("a.txt")) == b"first"
    assert storage.files() == ["a.txt"]


def test_a_missing_file_is_its_own_fault(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read(storage.path("nothing"))


def test_a_storage_that_fails_is_said(monkeypatch: pytest.MonkeyPatch, memory: Any) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError("the token has expired")

    storage = open_storage("memory://bucket")
    for method in ("cat_file", "pipe_file"):
        monkeypatch.setattr(MemoryFileSystem, method, refused)
    with pytest.raises(InvalidInput, match="cannot read .*expired"):
        storage.read(storage.path("a.png"))
    with pytest.raises(InvalidInput, match="cannot write memory://.*expired"):
        storage.write("a.png", b"")


def test_an_unknown_url_is_said() -> None:
    with pytest.raises(InvalidInput, match="cannot open nothing://x"):
        open_storage("nothing://x")


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    storage = open_storage(str(tmp_path))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InvalidInput, match="cannot write .*No space left"):
        storage.write("a.txt", b"data")
    assert [*tmp_path.iterdir()] == []


def test_a_batch_goes_from_url_to_url(memory: Any, colour: Artifact) -> None:
    for number in range(8):
        memory.pipe_file(f"/bucket/images/{number}.png", picture(number))
    model = ArtifactModel(colour.folder)
    with pytest.raises(KeyboardInterrupt):
        batch(model, "memory://bucket/images", "memory://bucket/out", part_size=3, pool=stopping(after=1))
    summary = batch(model, "memory://bucket/images", "memory://bucket/out", part_size=3)
    assert (summary.output, summary.images, summary.done_before) == ("memory:///bucket/out", 8, 3)
    table = pq.read_table("/bucket/out", filesystem=memory)
    assert sorted(table["image"].to_pylist()) == [f"{number}.png" for number in range(8)]
