"""What strangers who reach the port may not do; and that this user's clients need no more than before."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from tests.serving.conftest import Served
from tritonclient.utils import InferenceServerException

from regard.serving.protocol import shared_memory_key
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect, connect_async
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.shared_memory_key import key_for, write_key
from regard.serving.protocol.wire import Fault
from regard.serving.triton.keys import Keys
from regard.serving.triton.orphans import forget_orphans

TIMEOUT = 60.0


@contextmanager
def region(name: str) -> Iterator[SharedMemory]:
    memory = SharedMemory(name, create=True, size=1 << 16)
    try:
        yield memory
    finally:
        memory.close()
        with suppress(FileNotFoundError):
            memory.unlink()


def connected(served: Served, protocol: str) -> Connection:
    url = served.grpc_url if protocol == "grpc" else served.http_url
    return connect(address_of(url, protocol), Credentials())


GRPC: list[Callable[[Any], Any]] = [
    lambda client: client.update_log_settings({"log_error": False}),
    lambda client: client.get_log_settings(),
    lambda client: client.update_trace_settings(settings={"trace_level": "TIMESTAMPS"}),
    lambda client: client.register_system_shared_memory("x", "/regard_test_of_keys", 64),
    lambda client: client.get_system_shared_memory_status(),
    lambda client: client.unregister_system_shared_memory(),
    lambda client: client.unload_model("tiny_classifier"),
]
HTTP = [
    ("POST", "/v2/logging", {"log_error": False}),
    ("POST", "/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]}),
    (
        "POST",
        "/v2/systemsharedmemory/region/x/register",
        {"key": "/regard_test", "offset": 0, "byte_size": 64},
    ),
    ("GET", "/v2/systemsharedmemory/status", None),
    ("POST", "/v2/systemsharedmemory/unregister", {}),
    ("POST", "/v2/repository/models/tiny_classifier/unload", {}),
]


@pytest.mark.parametrize("call", GRPC)
def test_what_a_stranger_may_not_do_over_grpc(served: Served, call: Callable[[Any], Any]) -> None:
    with (
        triton.InferenceServerClient(served.grpc_url) as client,
        pytest.raises(InferenceServerException, match="restricted"),
    ):
        call(client)


@pytest.mark.parametrize(("method", "path", "content"), HTTP)
def test_nor_over_http(served: Served, method: str, path: str, content: Any) -> None:
    with closing(http.client.HTTPConnection(served.http_url, timeout=TIMEOUT)) as connection:
        connection.request(method, path, None if content is None else json.dumps(content))
        response = connection.getresponse()
        assert response.status == 403
        assert "restricted" in response.read().decode()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_this_users_clients_share_memory_without_being_told_how(served: Served, protocol: str) -> None:
    name = f"regard_client_{os.getpid()}_{os.urandom(4).hex()}"
    with region(name), closing(connected(served, protocol)) as connection:
        connection.register(name, f"/{name}", 1 << 16, timeout=TIMEOUT)
        assert name in connection.regions(timeout=TIMEOUT)
        connection.unregister(name, timeout=TIMEOUT)
        assert name not in connection.regions(timeout=TIMEOUT)

        async def awaited() -> None:
            other = connect_async(connection.address, Credentials())
            await other.register(name, f"/{name}", 1 << 16, timeout=TIMEOUT)
            await other.unregister(name, timeout=TIMEOUT)
            await other.close()

        asyncio.run(awaited())


def test_without_the_key_nobody_shares_memory(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.serving.protocol.connection.key_for", lambda address: None)
    with closing(connected(served, "grpc")) as connection, pytest.raises(Fault) as caught:
        connection.register("x", "/regard_test_of_keys", 64, timeout=TIMEOUT)
    assert caught.value.restricted


def test_regions_of_clients_that_were_killed_are_forgotten_and_freed(served: Served) -> None:
    code = (
        "import os, sys, time\n"
        "from multiprocessing import resource_tracker\n"
        "resource_tracker.register = lambda *_: None\n"  # it would clean up after the killed process
        "from multiprocessing.shared_memory import SharedMemory\n"
        "name = f'regard_client_{os.getpid()}_0123456789abcdef'\n"
        "memory = SharedMemory(name, create=True, size=1 << 16)\n"
        "print(name, flush=True); sys.stdin.read()"
    )
    own = f"regard_client_{os.getpid()}_{os.urandom(4).hex()}"
    with (
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        region(own),
        closing(connected(served, "grpc")) as connection,
    ):
        assert process.stdout
        name = process.stdout.readline().strip()
        for each in (own, name):
            connection.register(each, f"/{each}", 1 << 16, timeout=TIMEOUT)
        forget_orphans(connection)
        assert {own, name} <= set(connection.regions(timeout=TIMEOUT))
        process.send_signal(signal.SIGKILL)
        process.wait()
        forget_orphans(connection)
        assert name not in connection.regions(timeout=TIMEOUT)
        assert not Path("/dev/shm", name).exists()
        assert own in connection.regions(timeout=TIMEOUT)
        Path("/dev/shm", own).unlink()  # as a client does that is not sure of an answer
        forget_orphans(connection)
        assert own not in connection.regions(timeout=TIMEOUT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shared_memory_key, "FOLDER", tmp_path)
    return tmp_path


def test_the_key_is_this_users_alone_and_the_newest_counts(folder: Path) -> None:
    address = address_of("127.0.0.1:8701")
    assert key_for(address) is None
    write_key("old", 8701, prefix="regard_b_")
    time.sleep(0.01)  # a clock of files may be coarse
    write_key("new", 8701, prefix="regard_a_")
    write_key("other", 18701, prefix="regard_a_")
    assert key_for(address) == key_for(address_of("http://localhost:8701")) == "new"
    assert key_for(address_of("192.0.2.1:8701")) is None
    file = folder / "regard_a_8701.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)  # others may have read it, or written it
    assert key_for(address) == "old"
    file.unlink()
    file.symlink_to(folder / "regard_a_18701.key")
    assert key_for(address) == "old"
    (folder / "regard_b_8701.key").write_text("two\r\nlines")
    assert key_for(address) is None


@pytest.mark.parametrize(
    ("host", "shared"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False)]
)
def test_a_server_for_others_shares_no_memory(folder: Path, host: str, shared: bool) -> None:
    keys = Keys(host)
    keys.leave([8700, 8701], prefix="regard_a_")
    assert len([*folder.iterdir()]) == 2 * shared
    owner = {
        api: rule.partition(":")[2]
        for option in keys.options()
        if option.startswith("--grpc")
        for rule in [option.partition("=")[2]]
        for api in rule.partition(":")[0].split(",")
    }
    assert owner["shared-memory"].endswith(keys.shared_memory if shared else keys.control)
    assert owner["logging"] == owner["trace"] == owner["model-repository"] == f"regard-control={keys.control}"
