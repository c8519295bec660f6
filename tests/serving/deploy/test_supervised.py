"""A colour as a process on a real server, laid out as in NVIDIA's image: it serves what colours.json says,
tells how that goes, mends what can be mended and ends where it cannot.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.serving.conftest import Infer, largest_channel, mean_colour
from tests.serving.deploy.supervised_process import Supervised, supervised
from tests.serving.triton.test_serve_command import wait_for

from regard.serving.deploy.colours import COLOURS_FILE, write_colours
from regard.serving.repository import add
from regard.serving.triton.backends.files import copy_backend
from regard.serving.triton.installation import find_installation
from regard.serving.triton.nvidia_image import installation_at

IMAGE = np.full((1, 16, 16, 3), 3, np.uint8)
SLEEPER = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        time.sleep({load})

    def execute(self, requests):
        time.sleep(float(pb_utils.get_input_tensor_by_name(requests[0], "seconds").as_numpy()[0]))
        answer = pb_utils.Tensor("done", np.ones(1, np.float32))
        return [pb_utils.InferenceResponse([answer]) for _ in requests]
"""
SLEEPERS_CONFIG = """
backend: "python"
max_batch_size: 0
input { name: "seconds" data_type: TYPE_FP32 dims: [1] }
output { name: "done" data_type: TYPE_FP32 dims: [1] }
instance_group { count: 1 kind: KIND_CPU }
"""


def add_sleeper(repository: Path, *, load: float = 0.0) -> None:
    """A model that answers after as many seconds as it is asked for, and is loaded in `load` seconds."""
    version = repository / "sleeper" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(SLEEPER.format(load=load))
    (version.parent / "config.pbtxt").write_text(SLEEPERS_CONFIG)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip's server, laid out as NVIDIA's image has it; in the place of its C++ `onnxruntime` is ours."""
    found, root = find_installation(), tmp_path_factory.mktemp("image") / "tritonserver"
    shutil.copytree(found.root, root, ignore=shutil.ignore_patterns("python_backend_stubs"))
    shutil.copy(found.stub, root / "backends" / "python")
    for backend in ("onnxruntime", "regard_image", "regard_stream"):
        copy_backend(backend, root / "backends")
    return root


@pytest.fixture(scope="module")
def libraries() -> str:
    """What the image has where the linker finds it."""
    return find_installation().environment()["LD_LIBRARY_PATH"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment with snapshot 1, of another answer, and 2, of which no model can be served."""
    folder = tmp_path_factory.mktemp("deployment")
    for number, biased in ((1, 1), (2, 2)):
        add(largest_channel(folder / "made" / str(number), bias=biased), folder / "snapshots" / str(number))
    (folder / "snapshots" / "2" / "largest" / "1" / "model.onnx").write_bytes(b"no graph")
    shutil.rmtree(folder / "snapshots" / "2" / "largest_image")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy model, one whose file is broken, and one that sleeps."""
    folder = tmp_path_factory.mktemp("models")
    add(largest_channel(folder / "largest"), folder / "repository", instances=1)
    add(mean_colour(folder / "colour"), folder / "repository", instances=1)
    (folder / "repository" / "colour" / "1" / "model.onnx").write_bytes(b"no graph")
    add_sleeper(folder / "repository")
    return folder / "repository"


@pytest.fixture(scope="module")
def running(deployment: Path, models: Path, image: Path, libraries: str) -> Iterator[Supervised]:
    """On `models`; a test leaves it serving them."""
    with supervised(deployment, models, f"--triton={image}", LD_LIBRARY_PATH=libraries) as process:
        yield process


def label(connect: Infer, running: Supervised) -> int:
    with connect(f"127.0.0.1:{running.grpc}") as infer:
        return int(infer("largest", IMAGE).as_numpy("label_map")[0, 0, 0])


def processes_of(running: Supervised, word: str) -> list[psutil.Process]:
    found = []
    for each in psutil.Process(running.process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found += [each] if any(word in part for part in each.cmdline()) else []
    return found


def test_healthy_models_are_served_beside_a_broken_one(running: Supervised, connect: Infer) -> None:
    status = running.when(lambda now: now["models"].get("sleeper", {}).get("state") == "ok")
    assert (status["colour"], status["state"], status["source"]) == ("a", "serving", "repository")
    assert (status["reason"], status["triton"], status["restarts"]) == (None, "2.51.0", 0)
    assert status["models"]["largest"] == {
        "versions": [1],
        "state": "ok",
        "reason": None,
        "answers": True,
        "goldens": {"1": True},
    }
    assert status["models"]["sleeper"]["goldens"] == {}  # by a canary alone
    broken = status["models"]["colour"]
    assert (broken["versions"], broken["state"], broken["answers"]) == ([], "refused", None)
    assert broken["reason"]
    assert status["models"]["colour_image"]["state"] == "refused"
    assert status["memory_bytes"] > 2**20
    assert (status["failures"]["largest"], status["requests"]["largest"] > 0) == (0, True)
    assert running.page("/health") == (200, "serving\n")
    assert running.page("/anything")[0] == 404
    assert label(connect, running) == 3


def test_the_metrics_say_the_same(running: Supervised) -> None:
    running.is_("serving")
    assert running.metric("regard_up", colour="a") == 1
    assert running.metric("regard_idle") == 0
    assert running.metric("regard_source_info", source="repository") == 1
    assert running.metric("regard_canary_ok", model="largest") == 1
    assert running.metric("regard_goldens_ok", model="largest_image", version="1") == 1
    assert running.metric("regard_canary_ok", model="colour") is None  # nothing of it can be asked
    assert running.metric("regard_model_refused", model="colour") == 1
    assert running.metric("regard_model_refused", model="largest") == 0
    assert running.metric("regard_memory_bytes") > 2**20  # type: ignore[operator]


def test_a_killed_stub_is_told_and_mended(running: Supervised, connect: Infer) -> None:
    before = running.when(lambda now: now["models"].get("sleeper", {}).get("state") == "ok")["restarts"]
    (stub,) = processes_of(running, "/largest/1/")
    stub.kill()
    told = running.when(lambda now: now["state"] == "restarting")
    assert told["models"]["largest"]["state"] == "failing"
    assert told["reason"] == f"the process of largest has died (pid {stub.pid})"
    assert running.page("/health") == (503, "restarting\n")
    assert running.metric("regard_canary_ok", model="largest") == 0
    after = running.when(lambda now: now["state"] == "serving" and now["restarts"] == before + 1)
    assert after["models"]["largest"]["state"] == "ok"
    assert running.metric("regard_canary_ok", model="largest") == 1
    assert running.metric("regard_restarts_total") == before + 1
    assert label(connect, running) == 3


def test_one_source_after_the_other_bad_ones_good_ones_and_none(
    running: Supervised, deployment: Path, connect: Infer
) -> None:
    running.is_("serving")
    write_colours(deployment, {"a": "snapshots/2", "b": None})
    status = running.is_("failed", "snapshots/2")
    assert "no model" in status["reason"]
    assert status["models"]["largest"]["state"] == "refused"
    assert running.page("/health") == (503, "failed\n")

    write_colours(deployment, {"a": "snapshots/7", "b": None})
    assert "does not exist" in running.is_("failed", "snapshots/7")["reason"]

    write_colours(deployment, {"a": "snapshots/1", "b": None})
    running.is_("serving", "snapshots/1")
    assert label(connect, running) == 4

    write_colours(deployment, {"a": None, "b": "snapshots/1"})
    status = running.is_("idle", None)
    assert (status["models"], status["memory_bytes"], status["triton"]) == ({}, 0, None)
    assert running.page("/health") == (200, "idle\n")
    assert running.metric("regard_idle") == 1
    assert not processes_of(running, "tritonserver")

    write_colours(deployment, {"a": "repository", "b": None})
    running.is_("serving")
    assert label(connect, running) == 3


def test_a_file_that_cannot_be_read_changes_nothing(running: Supervised, deployment: Path) -> None:
    since = running.is_("serving")["since"]
    (deployment / COLOURS_FILE).write_text('{"a": null')
    status = running.when(lambda now: COLOURS_FILE in (now["reason"] or ""))
    assert (status["state"], status["since"]) == ("serving", since)
    assert running.page("/health")[0] == 200
    write_colours(deployment, {"a": "repository", "b": None})
    running.when(lambda now: now["reason"] is None)
    assert any("what is served stays" in event for event in running.events)


@pytest.mark.slow
def test_it_can_be_told_to_end_in_a_load_without_end(tmp_path: Path) -> None:
    add_sleeper(tmp_path / "models", load=3600.0)
    with supervised(tmp_path / "deployment", tmp_path / "models") as process:
        process.is_("starting")
        wait_for(lambda: processes_of(process, "/sleeper/1/"), "the model's process")
        process.process.send_signal(signal.SIGTERM)
        assert process.ended() == 0


@pytest.mark.slow
def test_a_load_without_end_is_given_up_for_another_source(running: Supervised, deployment: Path) -> None:
    add_sleeper(deployment / "snapshots" / "3", load=3600.0)
    write_colours(deployment, {"a": "snapshots/3", "b": None})
    running.is_("starting", "snapshots/3")
    write_colours(deployment, {"a": "repository", "b": None})
    running.is_("serving")


def test_it_ends_when_it_is_told_to_and_answers_what_is_in_flight(
    tmp_path: Path, models: Path, image: Path, libraries: str, connect: Infer
) -> None:
    answers: list[float] = []

    def ask(grpc: int) -> None:
        with connect(f"127.0.0.1:{grpc}") as infer:
            answer = infer("sleeper", np.array([2.0], np.float32), input="seconds")
            answers.extend(answer.as_numpy("done"))

    with supervised(
        tmp_path / "deployment", models, f"--triton={image}", LD_LIBRARY_PATH=libraries
    ) as process:
        process.is_("serving")
        asked = threading.Thread(target=ask, args=(process.grpc,))
        asked.start()
        with connect(f"127.0.0.1:{process.grpc}") as infer:
            infer("largest", IMAGE)  # and the other has reached it, too
        process.process.send_signal(signal.SIGTERM)
        assert process.ended() == 0
        asked.join()
        assert answers == [1.0]
        assert process.events[-1] == "stopped"


def test_a_repository_without_a_model_waits_for_one(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with supervised(tmp_path / "deployment", tmp_path / "models") as process:
        status = process.is_("idle")
        assert status["reason"] == f"{tmp_path / 'models'} holds no model; add one with: regard repo add"
        assert process.page("/health")[0] == 200
        add(largest_channel(tmp_path / "largest"), tmp_path / "models", instances=1)
        assert process.is_("serving")["models"]["largest"]["state"] == "ok"

        # what it had served cannot be started again: a new container is next
        shutil.rmtree(tmp_path / "models")
        (server,) = processes_of(process, "bin/tritonserver")
        server.kill()
        assert process.ended() == 1
        assert "could not be started again in 3 attempts" in process.events[-1]


@pytest.mark.slow
def test_a_model_that_takes_the_server_with_it_is_refused_and_the_others_serve(tmp_path: Path) -> None:
    models = tmp_path / "models"
    add(largest_channel(tmp_path / "largest"), models, instances=1)
    add_sleeper(models)
    deadly = models / "sleeper" / "1" / "model.py"
    deadly.write_text(deadly.read_text().replace("time.sleep(0.0)", "import os; os.kill(os.getppid(), 9)"))
    with supervised(tmp_path / "deployment", models) as process:
        status = process.when(lambda now: len(now["models"]) == 3 and now["state"] == "serving")
        assert status["models"]["sleeper"]["state"] == "refused"
        assert status["models"]["sleeper"]["reason"] == "the server ended or hung while it loaded this"
        assert status["models"]["largest"]["state"] == status["models"]["largest_image"]["state"] == "ok"


def test_what_cannot_start_ends_with_the_reason(tmp_path: Path, models: Path) -> None:
    with supervised(tmp_path / "deployment", models, f"--triton={tmp_path}") as process:
        assert process.ended() == 1
        assert "holds no bin/tritonserver; build the image with docker/Dockerfile" in process.events[-1]


def test_the_images_own_backends_are_those_that_serve(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", find_installation().environment()["LD_LIBRARY_PATH"])
    found = installation_at(image)
    assert found.whole_backends
    assert found.server.backends == {"onnxruntime", "python", "regard_image", "regard_stream"}
    assert found.environment()["LD_LIBRARY_PATH"] == os.environ["LD_LIBRARY_PATH"]
    assert found.interpreter_folder == Path(sys.executable).parent
