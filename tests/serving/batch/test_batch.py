"""Every image of a folder is answered once, whatever stops the run on its way."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.serving.batch.conftest import picture, pictures, rows_in, stopping
from tests.serving.client.client_fakes import QUICK

from regard.errors import InferenceError, InvalidInput
from regard.export.artifact import Artifact
from regard.serving.batch.model import ArtifactModel, OpenModel
from regard.serving.batch.run import batch
from regard.serving.client.sync import Client
from regard.serving.local.model import LocalModel
from regard.serving.local.transport import LocalTransport
from regard.serving.protocol.wire import Fault


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pictures(tmp_path / "images", 20)
    return tmp_path / "images"


@pytest.fixture
def model(colour: Artifact) -> ArtifactModel:
    return ArtifactModel(colour.folder)


def test_each_image_has_the_models_answer(images: Path, model: ArtifactModel, tmp_path: Path) -> None:
    summary = batch(model, str(images), str(tmp_path / "out"), part_size=6, top=2)
    assert (summary.images, summary.done_before, summary.failed, summary.parts) == (20, 0, 0, 4)
    local = LocalModel(model.folder)
    rows = rows_in(tmp_path / "out")
    assert [row["image"] for row in rows] == sorted(
        str(path.relative_to(images)) for path in images.rglob("*.png")
    )
    for row in rows:
        (result,) = local.client.classify(local.name, images / row["image"], top_k=2)
        assert (row["label"], row["probability"]) == (result.label, result.probability)
        assert row["labels"] == list(result.labels)
        assert [(each["label"], each["probability"]) for each in row["top"]] == list(result.top)
        assert row["error"] is None


def test_a_segmentation_is_whole_in_its_row(images: Path, largest: Artifact, tmp_path: Path) -> None:
    batch(ArtifactModel(largest.folder), str(images), str(tmp_path / "out"), limit=4)
    local = LocalModel(largest.folder)
    for row in rows_in(tmp_path / "out"):
        (result,) = local.client.segment(local.name, images / row["image"])
        with Image.open(io.BytesIO(row["mask"])) as mask:
            np.testing.assert_array_equal(np.asarray(mask), result.label_map)
            assert mask.mode == "P"
        assert dict(row["area"]) == {label: area for label, area in result.area.items() if area}


def test_a_bad_image_is_a_row_with_its_error(images: Path, model: ArtifactModel, tmp_path: Path) -> None:
    (images / "broken.jpg").write_bytes(b"no image")
    (images / "empty.png").touch()
    (images / "gone.png").symlink_to("nowhere")
    (images / "notes.txt").write_text("left out")
    summary = batch(model, str(images), str(tmp_path / "out"))
    assert (summary.images, summary.failed) == (23, 3)
    errors = {row["image"]: row["error"] for row in rows_in(tmp_path / "out") if row["error"]}
    assert errors.keys() == {"broken.jpg", "empty.png", "gone.png"}
    assert "the 8 bytes are not a JPEG" in errors["broken.jpg"]
    assert errors["broken.jpg"].startswith("broken.jpg: ")
    assert "No such file" in errors["gone.png"]
    assert all(row["label"] is None for row in rows_in(tmp_path / "out") if row["error"])


def test_a_name_need_not_be_utf8(model: ArtifactModel, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(0))
    assert batch(model, str(tmp_path / "images"), str(tmp_path / "out")).failed == 0
    assert [row["image"] for row in rows_in(tmp_path / "out")] == ["caf\\udce9.png"]


def test_a_run_that_was_stopped_goes_on(images: Path, model: ArtifactModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        batch(model, str(images), str(out), part_size=3, pool=stopping(after=2))
    before = {path: path.read_bytes() for path in out.glob("*.parquet")}
    assert len(before) == 2
    # another size of part, which is that of new parts
    summary = batch(model, str(images), str(out), part_size=100)
    assert (summary.images, summary.done_before, summary.parts) == (20, 6, 5)
    keys = [row["image"] for row in rows_in(out)]
    assert len(keys) == len(set(keys)) == 20
    assert {path: path.read_bytes() for path in before} == before
    again = batch(model, str(images), str(out))
    assert (again.images, again.done_before, again.parts, again.images_per_second) == (20, 20, 0, 0)


def test_a_part_is_the_same_file_whoever_computes_it(
    images: Path, model: ArtifactModel, tmp_path: Path
) -> None:
    """A worker that was thought dead, or a second run, does no harm."""
    out = tmp_path / "out"
    batch(model, str(images), str(out), part_size=5)
    first = {path.name: path.read_bytes() for path in out.glob("*.parquet")}

    def late(worker: Any, parts: Any) -> Any:
        batch(model, str(images), str(out), part_size=5)
        return map(worker.compute, parts)

    for path in list(out.glob("*.parquet"))[:2]:
        path.unlink()
    batch(model, str(images), str(out), part_size=5, pool=late)
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == first


def test_images_that_were_added_are_answered_and_no_others(
    images: Path, model: ArtifactModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert batch(model, str(images), str(out), limit=7, part_size=5).images == 7
    pictures(images, 3, first=100)
    summary = batch(model, str(images), str(out), part_size=5)
    assert (summary.images, summary.done_before) == (23, 7)
    keys = [row["image"] for row in rows_in(out)]
    assert len(keys) == len(set(keys)) == 23


def test_a_trial_stays_one(images: Path, model: ArtifactModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        batch(model, str(images), str(out), part_size=5, pool=stopping(after=1))
    assert batch(model, str(images), str(out), limit=3).parts == 0
    assert batch(model, str(images), str(out), limit=7).images == len(rows_in(out)) == 10  # whole parts


def test_another_model_is_refused(
    images: Path, model: ArtifactModel, largest: Artifact, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    batch(model, str(images), str(out), limit=2)
    with pytest.raises(InvalidInput, match=r"another batch: .*graph_sha256 was \w{12}\.\.\., and is"):
        batch(ArtifactModel(largest.folder), str(images), str(out))
    assert len(rows_in(out)) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [({"top": 3}, "top was 5, and is 3"), ({"source": "other"}, "input was .*/images, and is")],
)
def test_another_job_is_refused(
    options: dict[str, Any], said: str, images: Path, model: ArtifactModel, tmp_path: Path
) -> None:
    pictures(tmp_path / "other", 2)
    batch(model, str(images), str(tmp_path / "out"), limit=2)
    source = str(tmp_path / options.pop("source", "images"))
    with pytest.raises(InvalidInput, match=said):
        batch(model, source, str(tmp_path / "out"), **options)


def test_a_model_that_changes_on_the_way_stops_the_run(
    images: Path, model: ArtifactModel, tmp_path: Path
) -> None:
    asked = iter(range(100))

    class Changing(ArtifactModel):
        def open(self) -> OpenModel:
            opened = super().open()
            identity = opened.identity()
            # the run and the worker look once each, the worker again after each part
            return replace(
                opened, identity=lambda: identity | ({"graph_sha256": "?"} if next(asked) > 3 else {})
            )

    with pytest.raises(InvalidInput, match=r"another model answers than when the batch began \(graph_sha256"):
        batch(Changing(model.folder), str(images), str(tmp_path / "out"), part_size=5)
    assert len(rows_in(tmp_path / "out")) == 10


def test_files_of_something_else_are_left_alone(images: Path, model: ArtifactModel, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sales.parquet").touch()
    with pytest.raises(InvalidInput, match="holds 'sales.parquet', which is not of a batch"):
        batch(model, str(images), str(tmp_path / "out"))
    with pytest.raises(InvalidInput, match="lies in the input"):
        batch(model, str(images), str(images / "out"))
    with pytest.raises(InvalidInput, match="there is no"):
        batch(model, str(tmp_path / "nothing"), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_drafts_of_killed_workers_are_no_rows_and_go(
    images: Path, model: ArtifactModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    batch(model, str(images), str(out), limit=5, part_size=5)
    draft = out / ".part-00001-000000.parquet.0123.draft"
    draft.write_bytes(b"half of")
    assert len(rows_in(out)) == 5
    batch(model, str(images), str(out))
    assert not draft.exists()
    assert len(rows_in(out)) == 20


def test_a_file_says_what_answered(
    images: Path, model: ArtifactModel, colour: Artifact, tmp_path: Path
) -> None:
    batch(model, str(images), str(tmp_path / "out"))
    (path,) = (tmp_path / "out").glob("*.parquet")
    job = json.loads(pq.read_schema(path).metadata[b"regard.batch"])
    assert job == json.loads((tmp_path / "out" / "_regard" / "batch.json").read_text())
    assert job["model"]["graph_sha256"] == colour.sha256


def test_rows_fit_a_schema_that_does_not_hang_on_them(model: ArtifactModel, tmp_path: Path) -> None:
    """A part of bad images alone has the columns of the others, so that they are read as one table."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    batch(model, str(tmp_path / "images"), str(tmp_path / "out"))
    assert pq.read_table(tmp_path / "out").schema.field("top").type == pa.list_(
        pa.struct([("label", pa.string()), ("probability", pa.float64())])
    )


class Dying(LocalTransport):
    """A server that answers so many requests; then each one meets a fault."""

    def __init__(self, artifact: Artifact, answers: int, code: str) -> None:
        super().__init__(artifact)
        self.answers, self.code = answers, code

    def infer(self, *args: Any, **options: Any) -> Any:
        self.answers -= 1
        if self.answers < 0:
            raise Fault(self.code, "it is gone")
        return super().infer(*args, **options)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL"])
def test_a_dead_endpoint_stops_the_run_and_loses_nothing(
    code: str, images: Path, colour: Artifact, tmp_path: Path
) -> None:
    class Served(ArtifactModel):
        def open(self) -> OpenModel:
            transport = Dying(colour, 2, code)
            client = Client("127.0.0.1:1", transport=transport, timeout=1, retry=QUICK, shared_memory=False)
            return replace(super().open(), client=client)

    out = tmp_path / "out"
    with pytest.raises(InferenceError, match=f"{code}: it is gone"):
        batch(Served(colour.folder), str(images), str(out), part_size=10)
    assert len(rows_in(out)) == 10  # two requests of at most 8 images each for a part
    assert not any(row["error"] for row in rows_in(out))
    batch(ArtifactModel(colour.folder), str(images), str(out))
    assert len(rows_in(out)) == 20
