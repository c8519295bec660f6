"""Renames that are taken back, and second names for files."""

import os
from pathlib import Path
from typing import Any

import pytest

from regard.serving.repository.drafts import link_folder, move


def test_moves_are_taken_back_where_one_fails(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(FileNotFoundError):
        move([(tmp_path / "a", tmp_path / "b"), (tmp_path / "nothing", tmp_path / "c")])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    move([(tmp_path / "a", tmp_path / "b"), (tmp_path / "b", tmp_path / "c")])
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("links", [True, False])
def test_a_folder_of_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    (tmp_path / "one" / "deep").mkdir(parents=True)
    (tmp_path / "one" / "file").write_text("1")
    (tmp_path / "one" / "deep" / "file").write_text("2")

    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    link_folder(tmp_path / "one", tmp_path / "other")
    for file, text in {"file": "1", "deep/file": "2"}.items():
        assert (tmp_path / "other" / file).read_text() == text
        assert (tmp_path / "other" / file).samefile(tmp_path / "one" / file) is links
