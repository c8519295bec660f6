"""A model whose process died answers again, without anybody's help."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.serving.repository.repositories import unchecked
from tritonclient.utils import InferenceServerException

from regard.errors import ServerError
from regard.serving.protocol.address import address_of
from regard.serving.protocol.shared_memory_key import key_for
from regard.serving.protocol.wire import Fault
from regard.serving.triton import supervisor
from regard.serving.triton.health import HealthCheck, Observation
from regard.serving.triton.installation import NoRoom
from regard.serving.triton.supervisor import ATTEMPTS, Supervisor

IMAGE = np.zeros((1, 16, 16, 3), np.uint8)


class Now(threading.Event):
    """Waits without waiting; then it may be set."""

    waited, stopped = 0, False

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += 1
        return self.stopped


def stub_of(server: Any, model: str) -> int:
    for child in psutil.Process(server.pid).children():
        if any(f"/{model}/1/" in word for word in child.cmdline()):
            return int(child.pid)
    raise AssertionError(f"no process of {model}")


def test_a_killed_stub_is_noticed_and_served_again_beside_a_broken_model(
    repository: Path, embedded: Any, connect: Any
) -> None:
    (repository / "colour" / "1" / "model.onnx").write_bytes(b"no graph")
    told: list[str] = []
    stop = threading.Event()
    with embedded(repository, strict=False, check=unchecked, report=told.append) as server:
        assert any(line.startswith("colour: version 1 refused: onnx runtime error") for line in told)
        assert "colour_image refused: it needs colour, which is not served; nothing of it is served" in told
        served = server.served
        assert served == {"largest": (1,), "largest_image": (1,)}
        told.clear()
        watching = Supervisor(server, look=0.2, report=told.append)
        health = HealthCheck(server, canary=0.0)
        assert health.look().fault is None
        first = server.pid
        victim = stub_of(server, "largest")
        os.kill(victim, signal.SIGKILL)
        with connect(server.grpc_url) as infer, pytest.raises(InferenceServerException):
            infer("largest", IMAGE)  # the server itself does not recover
        assert set(health.look().unhealthy) == {"largest"}  # the canary's own finding

        thread = threading.Thread(target=watching.run, args=(stop,))
        thread.start()
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    with connect(server.grpc_url) as infer:
                        infer("largest", IMAGE)
                    break
                except InferenceServerException:
                    assert time.monotonic() < deadline, told
                    time.sleep(0.2)
        finally:
            stop.set()
            thread.join()
        assert server.pid != first
        assert server.served == served
    assert f"the process of largest has died (pid {victim}); restarting the server" in told
    assert any("ready again" in line for line in told)


def test_a_dead_server_is_started_again(repository: Path, embedded: Any, connect: Any) -> None:
    with embedded(repository) as server:
        address = address_of(server.grpc_url)
        key = key_for(address)
        assert key
        os.kill(server.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while server.alive:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        fault = HealthCheck(server, canary=10.0).look().fault
        assert fault == "the server was killed, by somebody or by the kernel for want of memory"
        Supervisor(server).restart(threading.Event())
        assert key_for(address) not in (None, key)  # clients read it anew
        with connect(server.grpc_url) as infer:
            infer("largest", IMAGE)


def test_a_server_waits_for_room_in_shared_memory_and_says_so() -> None:
    class Full:
        tried, grace = 0, -1.0

        def stop(self, *, grace: float) -> None:
            self.grace = grace

        def resume(self) -> None:
            self.tried += 1
            if self.tried <= 2 * ATTEMPTS:
                raise NoRoom("20 MiB free")

    told: list[str] = []
    server, stop = Full(), Now()
    Supervisor(server, report=told.append).restart(stop)  # type: ignore[arg-type]
    assert (server.tried, server.grace) == (2 * ATTEMPTS + 1, 0)
    assert told[:-1] == ["the server waits to be started again: 20 MiB free"]
    assert "ready again" in told[-1]
    assert stop.waited == 2 * ATTEMPTS
    server.tried, stop.stopped = 0, True
    Supervisor(server).restart(stop)  # type: ignore[arg-type]
    assert server.tried == 1


def test_an_unproven_model_is_told_and_restarts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            before, _ = self.is_set(), self.set()
            return before

    class Idle:
        watch = False  # and nothing to restart it by

    told: list[str] = []
    seen = Observation(running=True, unproven={"a": "pipe"})
    monkeypatch.setattr(HealthCheck, "look", lambda self: seen)
    Supervisor(Idle(), report=told.append).run(Once())  # type: ignore[arg-type]
    assert told == ["a is unproven: it has not answered a canary yet (pipe)"]


def test_memory_of_dead_clients_is_freed_time_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.looks += 1
            return self.looks > 2

    class Idle:
        watch, connection = False, object()

    def forget(connection: object) -> None:
        asked.append(connection)
        raise Fault("UNAVAILABLE", "closed", answered=False)  # the next look tells

    asked: list[object] = []
    monkeypatch.setattr(HealthCheck, "look", lambda self: Observation(running=True))
    monkeypatch.setattr(supervisor, "forget_orphans", forget)
    Supervisor(Idle(), canary=0.0).run(Twice())  # type: ignore[arg-type]
    assert asked == [Idle.connection] * 2


def test_gives_up_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def stop(self, *, grace: float) -> None:
            pass

        def resume(self) -> None:
            raise ServerError("the disk is on fire")

    with pytest.raises(ServerError, match=r"in 3 attempts: the disk is on fire"):
        Supervisor(Broken()).restart(Now())  # type: ignore[arg-type]
