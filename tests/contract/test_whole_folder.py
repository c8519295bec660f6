"""Two folders exchange their names, on new kernels and old."""

import os
from pathlib import Path
from typing import Any

import pytest

from regard.contract import whole_folder
from regard.contract.whole_folder import swap


@pytest.fixture(params=[True, False], ids=["in one step", "in three"])
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    if not request.param:
        monkeypatch.setattr(whole_folder, "_exchange", lambda one, other: False)
    return tmp_path


def test_swapped(folders: Path) -> None:
    swap(folders / "one", folders / "other")
    assert {path.name for path in folders.iterdir()} == {"one", "other"}
    assert (folders / "one" / "name").read_text() == "other"
    assert (folders / "other" / "name").read_text() == "one"


def test_a_swap_that_fails_leaves_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_folder, "_exchange", lambda one, other: False)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    rename = os.rename

    def failing(source: Any, target: Any) -> None:
        if Path(source).name == "one":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="No space"):
        swap(tmp_path / "one", tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other"}
