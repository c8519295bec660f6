"""The file that says what each colour serves."""

from pathlib import Path

import pytest

from regard.errors import InvalidInput
from regard.serving.deploy.colours import AT_FIRST, COLOURS_FILE, folder_of, read_colours, write_colours


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_colours(tmp_path) == AT_FIRST
    colours = {"a": None, "b": "snapshots/12"}
    write_colours(tmp_path, colours)
    assert read_colours(tmp_path) == colours
    assert [file.name for file in tmp_path.iterdir()] == [COLOURS_FILE]


def test_where_a_source_is(tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert folder_of("repository", deployment=tmp_path, repository=models) == models
    assert folder_of("snapshots/1", deployment=tmp_path, repository=models) == tmp_path / "snapshots" / "1"


@pytest.mark.parametrize("source", ["", "snapshots/0", "snapshots/../..", "/etc", "snapshots/1\n", 3, ["a"]])
def test_no_other_source(tmp_path: Path, source: str) -> None:
    with pytest.raises(InvalidInput, match=r'must be "repository", "snapshots/<n>" or null'):
        write_colours(tmp_path, {"a": source, "b": None})
    with pytest.raises(InvalidInput, match="must be"):
        folder_of(source, deployment=tmp_path, repository=tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"a": null}', '{"a": null, "b": null, "c": null}', '{"a": 1']
)
def test_no_other_file(tmp_path: Path, text: str) -> None:
    (tmp_path / COLOURS_FILE).write_text(text)
    with pytest.raises(InvalidInput, match=COLOURS_FILE):
        read_colours(tmp_path)
    (tmp_path / COLOURS_FILE).unlink()
    (tmp_path / COLOURS_FILE).mkdir()
    with pytest.raises(InvalidInput, match="cannot read"):
        read_colours(tmp_path)
