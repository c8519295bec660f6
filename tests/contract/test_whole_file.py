"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from regard.contract.whole_file import whole_file, write_text
from regard.errors import InvalidInput


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file", "text")
    assert (tmp_path / "new" / "file").read_text() == "text"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_or_full_write_leaves_the_earlier_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("earlier")

    def stop_halfway() -> None:
        with whole_file(path) as draft:
            draft.write_text("half")
            raise error

    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else InvalidInput):
        stop_halfway()
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_below_a_file_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier")
    with pytest.raises(InvalidInput, match=r"cannot write .*another: Not a directory"):
        write_text(tmp_path / "file" / "another", "text")
    assert (tmp_path / "file").read_text() == "earlier"
