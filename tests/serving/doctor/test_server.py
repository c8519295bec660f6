"""The embedded server's files, shared memory and ports, as the doctor finds them."""

import inspect
import shutil
import socket
import sys
from types import SimpleNamespace

import pytest

from regard.errors import ServerError
from regard.serving.doctor import server
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton


def test_the_server_runs_here() -> None:
    (finding,) = server.embedded_triton()
    assert finding.status == "ok", finding


def test_a_server_that_cannot_run_is_a_problem_with_the_errors_own_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise ServerError("the embedded Triton server needs numpy below 2, found 2.4; install it with: pip")

    monkeypatch.setattr(server, "find_installation", refuse)
    (finding,) = server.embedded_triton()
    assert (finding.status, finding.next_step) == ("problem", "install it with: pip")
    assert finding.says == "the embedded Triton server needs numpy below 2, found 2.4"


@pytest.mark.parametrize(("installed", "status"), [(True, "problem"), (False, "note")])
def test_too_little_shared_memory(monkeypatch: pytest.MonkeyPatch, installed: bool, status: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=64 << 20, free=60 << 20))
    if not installed:
        monkeypatch.setitem(sys.modules, "pytriton", None)
    (finding,) = server.shared_memory()
    assert finding.status == status
    assert finding.facts == {"size": 64 << 20, "free": 60 << 20, "needed": 128 << 20}
    assert "--shm-size=1g" in (finding.next_step or "")


def test_no_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SHARED_MEMORY", server.SHARED_MEMORY / "nothing")
    (finding,) = server.shared_memory()
    assert finding.says == "cannot be looked at: No such file or directory"


def test_without_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytriton", None)
    (finding,) = server.embedded_triton()
    assert (finding.status, finding.next_step) == ("note", "pip install 'regard[server]'")


def test_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    http, grpc, metrics = free_ports(3)
    monkeypatch.setattr(server, "PORTS", {"HTTP": http, "gRPC": grpc, "metrics": metrics})
    assert [finding.status for finding in server.ports()] == ["ok"]
    with socket.create_server((server.HOST, grpc)):
        taken, free = server.ports()
    assert (taken.about, taken.status) == (f"port {grpc}", "note")
    assert "is taken by" in taken.says
    assert "choose another port for gRPC" in (taken.next_step or "")
    assert free.facts == {"free": [http, metrics], "taken": [grpc]}


def test_they_are_those_of_the_server() -> None:
    options = inspect.signature(EmbeddedTriton).parameters
    names = {"HTTP": "http_port", "gRPC": "grpc_port", "metrics": "metrics_port"}
    assert {service: options[name].default for service, name in names.items()} == server.PORTS
    assert options["host"].default == server.HOST
