"""Images in Parquet files: whole in a column, or by their paths."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.batch.conftest import picture, pictures, rows_in

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.batch.images import image_source
from regard.serving.batch.model import ArtifactModel
from regard.serving.batch.run import batch

WHOLE = [picture(number) for number in range(7)]


def write(path: Path, group: int = 3, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def labels_of(folder: Path, colour: Artifact, out: Path) -> list[str]:
    batch(ArtifactModel(colour.folder), str(folder), str(out))
    return [row["label"] for row in rows_in(out)]


@pytest.fixture
def expected(colour: Artifact, tmp_path: Path) -> list[str]:
    for number, data in enumerate(WHOLE):
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / f"{number}.png").write_bytes(data)
    return labels_of(tmp_path / "files", colour, tmp_path / "of_files")


@pytest.mark.parametrize("kind", ["binary", "large_binary", "struct", "paths", "urls"])
def test_each_row_is_answered(kind: str, expected: list[str], colour: Artifact, tmp_path: Path) -> None:
    paths = [f"files/{number}.png" for number in range(7)]
    column = {
        "binary": pa.array(WHOLE, pa.binary()),
        "large_binary": pa.array(WHOLE, pa.large_binary()),
        "struct": pa.array([{"bytes": data, "path": None} for data in WHOLE]),  # as Hugging Face's are
        "paths": pa.array(paths),
        "urls": pa.array([f"file://{tmp_path}/{path}" for path in paths]),
    }[kind]
    file = write(tmp_path / "in.parquet", image=column, other=list(range(7)))
    summary = batch(
        ArtifactModel(colour.folder), str(file), str(tmp_path / "out"), column="image", part_size=2
    )
    assert (summary.images, summary.failed, summary.parts) == (7, 0, 5)  # no part goes across row groups
    rows = rows_in(tmp_path / "out")
    assert [row["image"] for row in rows] == [f"in.parquet#{number}" for number in range(7)]
    assert [row["label"] for row in rows] == expected


def test_a_folder_is_read_as_other_readers_do(colour: Artifact, tmp_path: Path) -> None:
    for name in ("a/1.parquet", "b/1.parquet", "_temporary/1.parquet", ".draft.parquet"):
        write(tmp_path / "in" / name, picture=pa.array(WHOLE, pa.binary()))
    batch(ArtifactModel(colour.folder), str(tmp_path / "in"), str(tmp_path / "out"), column="picture")
    keys = [row["image"] for row in rows_in(tmp_path / "out")]
    assert sorted(keys) == [f"{name}/1.parquet#{number}" for name in "ab" for number in range(7)]


def test_a_bad_row_has_its_error(colour: Artifact, tmp_path: Path) -> None:
    file = write(tmp_path / "in.parquet", image=pa.array([WHOLE[0], None, b"", b"text"], pa.binary()))
    batch(ArtifactModel(colour.folder), str(file), str(tmp_path / "out"), column="image")
    errors = [row["error"] for row in rows_in(tmp_path / "out")]
    assert errors[0] is None
    assert errors[1].startswith("in.parquet#1: ")
    assert "the row holds none" in errors[1]
    assert all(errors[1:])


def test_a_path_leads_to_no_other_storage(colour: Artifact, tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    file = write(tmp_path / "in.parquet", at=["0000.png", "http://127.0.0.1:1/a.png", "nothing.png"])
    batch(ArtifactModel(colour.folder), str(file), str(tmp_path / "out"), column="at")
    errors = [row["error"] for row in rows_in(tmp_path / "out")]
    assert errors[0] is None
    assert "another storage" in errors[1]
    assert "No such file" in errors[2]


def test_only_what_is_asked_for_is_read_of_a_row_group(tmp_path: Path) -> None:
    file = write(tmp_path / "in.parquet", group=4, image=pa.array(WHOLE, pa.binary()))
    source = image_source(str(file), "image")
    keys = ["in.parquet#1", "in.parquet#3", "in.parquet#4", "in.parquet#6"]
    images = [*source.images(keys)]
    assert [image.name for image in images] == keys
    assert [image.read() for image in images] == [WHOLE[1], WHOLE[3], WHOLE[4], WHOLE[6]]
    with pytest.raises(InvalidInput, match="has no row 7 any more"):
        [*source.images(["in.parquet#7"])]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("picture", "has no column 'picture'; it has 'image', 'size'"),
        ("size", "is int64; images are binary"),
        (None, "the column of a Parquet file"),
    ],
)
def test_a_wrong_column_is_said_at_once(
    column: str | None, said: str, colour: Artifact, tmp_path: Path
) -> None:
    file = write(tmp_path / "in.parquet", image=pa.array(WHOLE, pa.binary()), size=list(range(7)))
    with pytest.raises(InvalidInput, match=said):
        batch(ArtifactModel(colour.folder), str(file), str(tmp_path / "out"), column=column)


def test_a_folder_without_images_says_what_it_has(colour: Artifact, tmp_path: Path) -> None:
    file = write(tmp_path / "in" / "a.parquet", image=pa.array(WHOLE, pa.binary()))
    with pytest.raises(InvalidInput, match="name the column of its Parquet files"):
        batch(ArtifactModel(colour.folder), str(file.parent), str(tmp_path / "out"))
    file.write_bytes(b"PAR1")
    with pytest.raises(InvalidInput, match=r"cannot read .*a.parquet"):
        batch(ArtifactModel(colour.folder), str(file), str(tmp_path / "out2"), column="image")
