"""What a supervised colour is made of, without a server."""

import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from regard.errors import ServerError
from regard.serving.deploy.supervised import colour as module
from regard.serving.deploy.supervised.colour import MOST_RESTARTS, Colour
from regard.serving.deploy.supervised.metrics import exposition
from regard.serving.deploy.supervised.pages import pages
from regard.serving.deploy.supervised.status import ModelStatus, Status
from regard.serving.triton.health import Observation
from regard.serving.triton.ports import free_ports

SERVING = Status("b", "snapshots/2", "serving", None, time.time(), "2.51.0")
AS_INIT = """
import ctypes, os, subprocess, sys, time
from regard.serving.deploy.supervised.init import go_on_as_child
ctypes.CDLL(None).prctl(36, 1)  # orphans become its children, as they become those of a container's first
go_on_as_child()
orphan = int(subprocess.run(["sh", "-c", "sleep 0.1 >&- & echo $!"], stdout=subprocess.PIPE).stdout)
while os.path.exists(f"/proc/{orphan}"):  # a zombie still has its folder
    time.sleep(0.01)
print("gone", flush=True)
if sys.argv[1] == "wait":
    time.sleep(60)
sys.exit(7)
"""


@pytest.fixture
def colour(tmp_path: Path) -> Colour:
    def none(*what: Any, **options: Any) -> Any:
        raise ServerError("no server is made here")

    return Colour("a", deployment=tmp_path, repository=tmp_path, new_server=none, say=lambda line: None)


def test_orphans_are_taken_in_and_the_exit_status_is_the_childs() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", AS_INIT, "end"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.returncode, finished.stdout) == (7, "gone\n"), finished.stderr


def test_a_signal_reaches_the_child() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", AS_INIT, "wait"], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "gone\n"
        first.terminate()
        assert first.wait(60) == 128 + 15


def test_metrics_hold_whatever_a_name_is() -> None:
    told = exposition(replace(SERVING, models={'a"\\\n': ModelStatus((1,), "ok", answers=True)}))
    assert 'regard_canary_ok{colour="b",model="a\\"\\\\\\n"} 1\n' in told
    assert "# TYPE regard_restarts_total counter\n" in told
    assert told.endswith("\n")


def test_no_model_answers_while_the_server_restarts() -> None:
    models = {"good": ModelStatus((2,), "ok", answers=True, goldens={2: True})}
    told = exposition(replace(SERVING, state="restarting", models=models))
    assert 'regard_canary_ok{colour="b",model="good"} 0\n' in told
    assert 'regard_goldens_ok{colour="b",model="good",version="2"} 1\n' in told
    assert 'regard_up{colour="b"} 0\n' in told


def test_an_unproven_model_is_in_no_canary_metric() -> None:
    told = exposition(replace(SERVING, models={"odd": ModelStatus((1,), "unproven", "a guess failed")}))
    assert "regard_canary_ok{" not in told


def test_more_restarts_than_few_end_it(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: now))
    for _ in range(4 * MOST_RESTARTS):  # one now and then is none too many
        colour._count_restart("a stub died")
        now += module.WINDOW / MOST_RESTARTS
    now += module.WINDOW
    for _ in range(MOST_RESTARTS):
        colour._count_restart("a stub died")
    with pytest.raises(ServerError, match=r"more than 5 restarts in 300 s; the last: a stub died"):
        colour._count_restart("a stub died")


def test_a_server_without_models_that_are_served(colour: Colour, tmp_path: Path) -> None:
    models: Any = SimpleNamespace(status=dict)
    server: Any = SimpleNamespace(served={}, refused={"a": "it is broken"}, repository=tmp_path)
    colour._tell(server, models, Observation(running=True))
    status = colour.status()
    assert (status.state, status.healthy) == ("failed", False)
    assert status.reason == f"no model of {tmp_path} can be served: a: it is broken"
    server.refused = {}
    colour._tell(server, models, Observation(running=True))
    assert (colour.status().state, colour.status().healthy) == ("idle", True)
    (tmp_path / "model").mkdir()  # to be taken up in a moment
    colour._tell(server, models, Observation(running=True))
    assert (colour.status().state, colour.status().healthy) == ("starting", False)


def test_a_taken_port_is_named(colour: Colour) -> None:
    (port,) = free_ports(1)
    with (
        pages("127.0.0.1", port, colour),
        pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port} .*choose another port"),
        pages("127.0.0.1", port, colour),
    ):
        raise AssertionError


def test_a_health_check_costs_the_server_nothing(colour: Colour) -> None:
    class Asked(Exception):
        pass

    class Server:
        @property
        def pid(self) -> int:
            raise Asked

    server: Any = Server()
    colour._server = server
    (port,) = free_ports(1)
    with pages("127.0.0.1", port, colour), pytest.raises(HTTPError, match="503"):
        urlopen(f"http://127.0.0.1:{port}/health", timeout=30)
    with pytest.raises(Asked):
        colour.measured()


def test_a_reader_who_leaves_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    gone, answered = threading.Event(), threading.Event()

    class Slow:
        def status(self) -> Status:
            return SERVING

        def measured(self) -> Status:
            gone.wait(30)
            answered.set()
            return SERVING

    (port,) = free_ports(1)
    with pages("127.0.0.1", port, Slow()):
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by RST
            reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            time.sleep(0.2)
        gone.set()
        assert answered.wait(30)
        with urlopen(f"http://127.0.0.1:{port}/status", timeout=30) as page:
            assert page.status == 200
    assert "Traceback" not in capfd.readouterr().err
