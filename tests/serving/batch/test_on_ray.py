"""Real Ray: workers are killed, runs are killed, and every image is answered once all the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import ROOT
from tests.processes import run
from tests.serving.batch.conftest import pictures, rows_in

from regard.export.artifact import Artifact
from regard.serving.client.sync import Client
from regard.serving.local.model import LocalModel
from regard.serving.repository import add
from regard.serving.triton.server import EmbeddedTriton

pytestmark = pytest.mark.slow  # Ray takes seconds to start
COUNT = 1600
PATIENCE = 90.0  # seconds


class Run:
    """`regard batch` in a process of its own, and the processes that Ray starts for it."""

    def __init__(self, *options: object, temporary: str) -> None:
        self.temporary = temporary
        self.process = subprocess.Popen(
            [sys.executable, "-m", "regard", "batch", *map(str, options), "--json"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": temporary},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        return [each for each in self.processes() if _title(each).startswith("ray::MapWorker")]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def wait_until(true: Any) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)
    return found


def parts_in(out: Path) -> list[Path]:
    return sorted(out.glob("part-*.parquet"))


@pytest.fixture
def begun() -> Iterator[Any]:
    """`begun(*options)`: a Run, which does not outlive the test."""
    runs: list[Run] = []
    temporary = tempfile.mkdtemp()  # a killed Ray leaves its logs behind; short, for the path of a socket

    def begin(*options: object) -> Run:
        runs.append(Run(*options, temporary=temporary))
        return runs[-1]

    yield begin
    for each in runs:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    pictures(folder, COUNT)
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_a_killed_worker_and_a_killed_run_lose_nothing_and_repeat_nothing(
    begun: Any, images: Path, colour: Artifact, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = (colour.folder, images, out, "--batch", 20, "--workers", 2, "--top", 1)

    killing = begun(*command)
    wait_until(lambda: len(parts_in(out)) > 3)
    assert len(killing.workers()) == 2
    addresses = {
        connection.laddr.ip
        for process in killing.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    (folder,) = Path(killing.temporary).glob("regard-ray-*")
    assert folder.stat().st_mode & 0o077 == 0
    killed = killing.workers()[0]
    killed.send_signal(signal.SIGKILL)
    before = len(parts_in(out))
    wait_until(lambda: len(parts_in(out)) > before + 3)  # the run goes on
    assert killing.process.poll() is None, killing.end()

    started = killing.processes()
    killing.process.kill()
    killing.process.communicate()
    done = len(parts_in(out))
    assert 0 < done < (COUNT + 1) / 20
    status, printed, said = begun(*command).end()
    for each in started:  # what Ray leaves behind of a killed run ends by itself, in about a minute
        with suppress(psutil.NoSuchProcess):
            each.kill()
    assert status == 0, said
    summary = json.loads(printed)
    assert summary["images"] == COUNT + 1
    assert done * 20 <= summary["done_before"] < COUNT
    assert f"{summary['done_before']} of {COUNT + 1} images are done already" in said
    assert "ray" not in said.lower()

    rows = rows_in(out)
    keys = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*"))
    assert sorted(row["image"] for row in rows) == keys
    assert [row["image"] for row in rows if row["error"]] == ["broken.jpg"]
    local = LocalModel(colour.folder)
    right = local.client.classify(local.name, [images / row["image"] for row in rows if not row["error"]])
    assert [row["label"] for row in rows if not row["error"]] == [result.label for result in right]


POISON = """
import os, signal
from regard.errors import ServerError
from regard.serving.batch.plan import Part
from regard.serving.batch.ray_pool import on_ray
from regard.serving.batch.worker import Done

class Healthy:
    def compute(self, part):
        return Done(1, 0)

class Poisoned:
    def compute(self, part):
        with open(part.keys[0], "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

try:
    [*on_ray(1)(Poisoned(), [Part("part.parquet", ("tries",))])]
except ServerError as error:
    print(error)
print([*on_ray(1)(Healthy(), [Part("part.parquet", ("image",))])])
"""


def test_what_kills_every_worker_ends_the_run_and_another_may_follow(tmp_path: Path) -> None:
    (tmp_path / "poison.py").write_text(POISON)
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    said = run(sys.executable, "poison.py", cwd=tmp_path, env=env)
    assert "a part of the batch was given up: 3 workers died at it" in said
    assert "[Done(images=1, failed=0)]" in said
    assert (tmp_path / "tries").read_text() == "xxx"


@pytest.fixture
def served(embedded: Any, colour: Artifact, tmp_path: Path) -> Iterator[EmbeddedTriton]:
    """A server of `colour`."""
    add(colour, tmp_path / "repository", instances=1)
    with embedded(tmp_path / "repository") as server:
        yield server


def test_a_served_model_answers_parquet_and_another_version_or_no_server_ends_the_run(
    begun: Any, served: EmbeddedTriton, tmp_path: Path
) -> None:
    keys = pictures(tmp_path / "images", 40)
    whole = [(tmp_path / "images" / key).read_bytes() for key in keys]
    pq.write_table(pa.table({"picture": [*whole, None]}), tmp_path / "in.parquet")
    out, model = tmp_path / "out", "colour@1"
    command = (model, tmp_path / "in.parquet", out, "--column", "picture", "--batch", 10, "--workers", 2)
    status, printed, said = begun(*command, "--url", served.grpc_url).end()
    assert status == 0, said
    assert json.loads(printed)["failed"] == 1
    rows = rows_in(out)
    assert [row["image"] for row in rows] == [f"in.parquet#{number}" for number in range(41)]
    with Client(served.grpc_url) as client:
        right = client.classify("colour", whole)
    assert [row["label"] for row in rows[:-1]] == [result.label for result in right]
    status, _, said = begun("colour", *command[1:], "--url", served.grpc_url).end()
    assert status == 1
    assert "model's version was 1, and is latest" in said
    status, _, said = begun(*command[:2], tmp_path / "new", *command[3:], "--url", "127.0.0.1:1").end()
    assert status == 1
    assert not (tmp_path / "new").exists()
