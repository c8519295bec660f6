"""Starting, stopping, and what is left of a server: nothing."""

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.serving.repository.repositories import unchecked

from regard.errors import InvalidInput, ServerError
from regard.serving.protocol.address import Address, address_of
from regard.serving.protocol.connect import connect as connect_to
from regard.serving.protocol.connect import connect_async
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault
from regard.serving.repository.tensor_bytes import tensor_bytes
from regard.serving.triton import installation, residue
from regard.serving.triton.ports import free_ports, held
from regard.serving.triton.residue import Residue

PIXELS = np.arange(2 * 20 * 24 * 3, dtype=np.uint8).reshape(2, 20, 24, 3)


def wait_for(done: Callable[[], Any], *, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


@contextmanager
def leaving_nothing(server: Any) -> Iterator[Callable[[], Residue]]:
    """Check that what belongs to the server's run is gone afterwards."""
    seen: list[Residue] = []

    def note() -> Residue:
        seen.append(server._running.residue)
        return seen[-1]

    yield note
    assert seen
    for left in seen:
        assert_gone(left)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_gone(left: Residue) -> None:
    assert not list(Path("/dev/shm").glob(left.shared_memory_prefix + "*"))
    assert not Path(left.run_folder).exists()
    assert not [folder for folder in left.environments if Path(folder).exists()]
    with pytest.raises(ProcessLookupError):
        os.killpg(left.pid, 0)


def test_serves_and_leaves_nothing(repository: Path, embedded: Any, connect: Any) -> None:
    server = embedded(repository)
    for _ in range(5):
        # another server that starts at the same moment takes the empty folder for its own, and may remove it
        with leaving_nothing(server) as note, server:
            if note().environments:
                break
    else:
        pytest.fail("no start showed the folder that Triton makes for Python environments")
    with leaving_nothing(server) as note, server:
        assert list(Path("/dev/shm").glob(note().shared_memory_prefix + "*"))
        with connect(server.grpc_url) as infer:
            answer = infer("largest", PIXELS).as_numpy("label_map")
        np.testing.assert_array_equal(answer, PIXELS.max(3) % 11)
    assert not server.alive


@pytest.mark.parametrize("which", ["server", "front"])
def test_starts_again_on_the_same_ports_after_a_kill(
    repository: Path, embedded: Any, connect: Any, which: str
) -> None:
    server = embedded(repository)
    with leaving_nothing(server) as note:
        server.start()
        os.kill(note().pid if which == "server" else server._running.front.pid, signal.SIGKILL)
        wait_for(lambda: not server.alive)
        server.stop()
        server.start()
        note()
        with connect(server.grpc_url) as infer:
            infer("largest", PIXELS)
        server.stop()
    assert not listening(server.ports["HTTP"])


def test_a_front_that_cannot_listen_ends_the_start(
    repository: Path, embedded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = embedded(repository)
    monkeypatch.setattr("regard.serving.triton.server.held", lambda host, ports: nullcontext())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", server.ports["HTTP"]))
        holder.listen()
        with pytest.raises(ServerError, match=r"(?s)lost its front for HTTP: .*cannot listen on"):
            server.start()


def test_a_model_that_does_not_load_is_named_with_its_reason(
    repository: Path, embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (repository / "colour" / "1" / "model.onnx").write_bytes(b"no graph")
    server = embedded(repository, check=unchecked, log=tmp_path / "logs" / "triton.log")
    with pytest.raises(ServerError, match=r"model 'colour': .*onnx runtime error"):
        server.start()
    assert not server.alive
    assert not list((tmp_path / "temporary").iterdir())
    assert "onnx runtime error" in (tmp_path / "logs" / "triton.log").read_text()


def test_nothing_that_can_be_served_is_an_error(repository: Path, embedded: Any) -> None:
    (repository / "largest" / "config.pbtxt").write_text("backend =")
    (repository / "colour" / "config.pbtxt").write_text('name: "color" backend: "onnxruntime"')
    told: list[str] = []
    with pytest.raises(ServerError, match=r"no model of .* can be served") as caught:
        embedded(repository, strict=False, report=told.append).start()
    for reason in (
        "model 'colour': .*a model named 'color'; a model is named as its folder",
        "model 'colour_image': it needs colour, which is not served",
        "model 'largest': cannot read",
    ):
        assert re.search(reason, str(caught.value))
    assert len(told) == 4


def test_a_configuration_that_triton_refuses_is_explained(repository: Path, embedded: Any) -> None:
    config = repository / "colour" / "config.pbtxt"
    config.write_text(config.read_text() + "dynamic_batching { preferred_batch_size: 99 }")
    with pytest.raises(ServerError, match="model 'colour': dynamic batching preferred size must be <= max"):
        embedded(repository).start()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_nobody_else_may_load_and_all_may_know_what_is_loaded(
    repository: Path, embedded: Any, protocol: str
) -> None:
    async def awaited(address: Address) -> Any:
        connection = connect_async(address, Credentials())
        try:
            return await connection.index(timeout=60)
        finally:
            await connection.close()

    with embedded(repository) as server:
        url = server.grpc_url if protocol == "grpc" else server.http_url
        connection = connect_to(address_of(url, protocol), Credentials())
        for act in (
            lambda: connection.load("largest", "{}", timeout=60),
            lambda: connection.unload("largest", timeout=60),
        ):
            with pytest.raises(Fault, match="restricted") as caught:
                act()
            assert caught.value.restricted
        known = sorted(connection.index(timeout=60), key=lambda entry: entry["name"])
        assert known == [{"name": name, "version": "1", "state": "READY"} for name in server.served]
        assert sorted(asyncio.run(awaited(connection.address)), key=lambda entry: entry["name"]) == known
        assert connection.ready(timeout=60)
        connection.close()


def test_a_taken_port_is_named_with_who_holds_it(repository: Path, embedded: Any) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(
            ServerError, match=rf"port {port} on 127.0.0.1 is taken by .*\(pid {os.getpid()}\).*for gRPC"
        ):
            embedded(repository, grpc_port=port).start()


def _hold(host: str, ports: dict[str, int]) -> None:
    with held(host, ports):
        raise AssertionError("these ports cannot be held")


def test_ports_must_differ_and_exist() -> None:
    with pytest.raises(ServerError, match="a port of its own"):
        _hold("127.0.0.1", {"HTTP": 8000, "gRPC": 8000})
    with pytest.raises(ServerError, match="from 1 to 65535, got 70000"):
        _hold("127.0.0.1", {"HTTP": 70000})
    with pytest.raises(ServerError, match="cannot listen on 192.0.2.1"):
        _hold("192.0.2.1", {"HTTP": 8000})
    assert len(set(free_ports(5))) == 5


def test_a_held_port_is_given_to_nobody_else() -> None:
    """Once the server's HTTP behind its front was given the port of its metrics."""
    (port,) = free_ports(1)
    with held("127.0.0.1", {"HTTP": port}):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen()


@pytest.mark.parametrize(
    "make",
    [lambda path: None, lambda path: path.write_text(""), lambda path: (path / "photos").mkdir(parents=True)],
)
def test_a_folder_that_is_no_repository(tmp_path: Path, embedded: Any, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "folder")
    with pytest.raises(InvalidInput, match="model repository"):
        embedded(tmp_path / "folder").start()


def test_an_empty_repository(tmp_path: Path, embedded: Any) -> None:
    with pytest.raises(InvalidInput, match="holds no model; add one with: regard repo add"):
        embedded(tmp_path).start()


def test_what_the_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda name: "2.1.0")
        with pytest.raises(
            ServerError, match="numpy below 2, found 2.1.0; install it with: pip install 'numpy<2'"
        ):
            installation.find_installation()
    find_spec = importlib.util.find_spec
    for package, extra in (("pytriton", "server"), ("onnxruntime", "cpu")):
        with monkeypatch.context() as patch:
            patch.setattr(
                "importlib.util.find_spec",
                lambda name, gone=package: None if name == gone else find_spec(name),
            )
            with pytest.raises(ServerError, match=re.escape(f"pip install 'regard[{extra}]'")):
                installation.find_installation()
    with monkeypatch.context() as patch:
        patch.setattr(installation, "MIN_SHARED_MEMORY", 2**60)
        with pytest.raises(ServerError, match="MiB free, and these models need .*--shm-size=1g"):
            installation.check_shared_memory(0)
    with pytest.raises(ServerError, match=f"MiB free, and these models need {2**40};"):
        installation.check_shared_memory(2**60)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/usr/bin/env")
        with pytest.raises(ServerError, match="run regard from a virtual environment"):
            installation.find_installation()


def test_what_the_models_pass_on(repository: Path) -> None:
    """Both endpoints of both, one instance each, with the largest batch of images and answers."""
    largest, colour = 4 * (48 * 64 * 3 + 48 * 64), 8 * (8 * 8 * 3 + 3 * 4)
    assert tensor_bytes(repository) == 2 * (largest + colour)


def test_started_twice_and_never(repository: Path, embedded: Any) -> None:
    server = embedded(repository)
    server.stop()  # nothing to stop
    with pytest.raises(ServerError, match="not running"):
        _ = server.pid
    with server, pytest.raises(ServerError, match="already running"):
        server.start()


@pytest.mark.parametrize("step", ["_backends", "FrontProcess", "_tell", "GrpcConnection"])
def test_a_ctrl_c_while_it_starts_leaves_nothing(
    repository: Path, embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(f"regard.serving.triton.run.{step}", interrupt)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(KeyboardInterrupt):
        embedded(repository).start()
    assert {child.pid for child in psutil.Process().children()} <= before
    assert not [*(tmp_path / "scratch").iterdir()]


def test_a_killed_parent_leaves_nothing(repository: Path) -> None:
    """The guard (residue.py) cleans up after a parent that could not."""
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), free_ports(3), strict=True))
    code = (
        "import sys; from pathlib import Path; from regard.serving.triton.server import EmbeddedTriton\n"
        f"server = EmbeddedTriton(Path({str(repository)!r}), **{ports!r}); server.start()\n"
        "print(server._running.residue.to_line(), end='', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        left = Residue(**json.loads(parent.stdout.readline()))
        assert list(Path("/dev/shm").glob(left.shared_memory_prefix + "*"))
        parent.kill()
    wait_for(lambda: not Path(left.run_folder).exists())
    wait_for(lambda: not listening(ports["http_port"]))
    assert_gone(Residue(left.pid, left.shared_memory_prefix, left.run_folder, tuple(left.environments)))


def test_the_guard_leaves_other_servers_alone(tmp_path: Path) -> None:
    busy = tmp_path / "python_env_of_another"
    (busy / "unpacked").mkdir(parents=True)
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait()
    Residue(ended.pid, "regard_no_such_prefix_", str(tmp_path / "run"), (str(busy),)).remove()
    assert (busy / "unpacked").is_dir()
    assert residue.environments() is not None
