"""`regard doctor --url`, of a deployment behind the real gateway and of a server without one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving.conftest import Served, largest_channel
from tests.serving.deploy.local_stack import LocalStack, local_stack
from typer.testing import CliRunner

from regard.serving.cli.app import app
from regard.serving.deploy.tags import PRODUCTION, Fact, Tag
from regard.serving.doctor import deployed
from regard.serving.repository import add


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """With one model, of the colour a alone."""
    folder = tmp_path_factory.mktemp("stack")
    artifact = largest_channel(folder / "artifact")
    (folder / "models").mkdir()
    add(artifact, folder / "models", name="largest", endpoints="tensor")
    (folder / "local").mkdir()
    with local_stack(folder / "models", folder / "local") as running:
        yield running


def look(*arguments: str | Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings by what they are about."""
    done = CliRunner().invoke(app, ["doctor", "--json", *map(str, arguments)])
    assert done.stdout, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return done.exit_code, {finding["about"]: finding for finding in found["findings"]}


def test_the_operator_sees_all_of_a_deployment(stack: LocalStack) -> None:
    gateway = stack.gateway
    key = ("--ca", gateway.ca, "--api-key", gateway.operator_key)
    for url in (gateway.url, gateway.grpc_url):
        code, found = look("--url", url, *key, "--repository", stack.repository)
        assert code == 0
        assert found["server"]["says"] == f"{gateway.url} is ready, and lets us in"
        assert found["certificate"]["facts"]["days"] > 30
        assert found["Triton"]["facts"] == {"version": "2.51.0", "release": "24.10"}
        assert found["Triton"]["status"] == "note"  # 24.10 has known faults
        assert "CVE-2025-23319" in found["Triton"]["says"]
        assert found["colour a"]["says"] == "serving on repository: largest 1"
        assert found["colour b"]["says"] == "idle"
        assert found["model largest"]["facts"] == {"versions": {"largest": [1]}}


def test_a_client_sees_what_it_may(stack: LocalStack) -> None:
    gateway = stack.gateway
    key = ("--url", gateway.url, "--ca", gateway.ca, "--api-key", gateway.api_key)
    code, found = look(*key, "--repository", stack.repository)
    assert code == 0
    assert found["colours"]["says"] == "are told to the operator alone"
    assert found["model largest"]["status"] == "ok"
    assert "colour a" not in found


def test_who_is_not_let_in_is_told_so(stack: LocalStack) -> None:
    gateway = stack.gateway
    for key in ((), ("--api-key", "another")):
        code, found = look("--url", gateway.url, "--ca", gateway.ca, *key)
        assert code == 1
        assert "does not let us in" in found["server"]["says"]
        assert "an API key or a token" in found["server"]["next_step"]
        assert found.keys() == {"server", "certificate"}


def test_an_authority_that_is_not_trusted_is_a_problem(stack: LocalStack) -> None:
    code, found = look("--url", stack.gateway.url, "--api-key", stack.gateway.api_key)
    assert code == 1
    assert "its certificate is not trusted" in found["server"]["says"]
    assert found.keys() == {"server"}


def test_a_model_that_is_not_served_is_a_problem(stack: LocalStack, tmp_path: Path) -> None:
    add(largest_channel(tmp_path / "artifact"), tmp_path / "models", name="another")
    gateway = stack.gateway
    key = ("--url", gateway.url, "--ca", gateway.ca, "--api-key", gateway.api_key)
    code, found = look(*key, "--repository", tmp_path / "models")
    assert code == 1
    assert "does not answer" in found["model another"]["says"]


def test_a_certificate_that_ends_soon_is_noted(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "RENEWED", 4000)
    gateway = stack.gateway
    _, found = look("--url", gateway.url, "--ca", gateway.ca, "--api-key", gateway.api_key)
    assert found["certificate"]["status"] == "note"
    assert "run --rm keys" in found["certificate"]["next_step"]


def test_a_release_without_known_faults_is_in_order(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed, "TAGS", {PRODUCTION: Tag(server=Fact("2.51.0", "run"))})
    gateway = stack.gateway
    key = ("--url", gateway.url, "--ca", gateway.ca, "--api-key", gateway.api_key)
    assert look(*key)[1]["Triton"]["status"] == "ok"
    monkeypatch.setattr(deployed, "TAGS", {})
    assert "does not know" in look(*key)[1]["Triton"]["says"]


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_server_without_a_gateway(served: Served, scheme: str) -> None:
    url = f"{scheme}://{served.grpc_url if scheme == 'grpc' else served.http_url}"
    code, found = look("--url", url, "--repository", served.repository)
    assert code == 0
    assert found.keys() == {"server", "Triton", f"model {served.classifier}", f"model {served.segmenter}"}


def test_nobody_there() -> None:
    code, found = look("--url", "grpc://127.0.0.1:1")
    assert code == 1
    assert "is not reached" in found["server"]["says"]


@pytest.mark.parametrize(
    ("model", "status", "says"),
    [
        ({"versions": [], "state": "refused", "reason": "its goldens"}, "problem", "m: its goldens"),
        ({"versions": [2], "state": "failing", "reason": "died"}, "problem", "m: died"),
        ({"versions": [2], "state": "unproven", "reason": "not asked yet"}, "ok", "m 2"),
    ],
)
def test_a_colour_whose_model_does_not_answer_is_a_problem(
    model: dict[str, Any], status: str, says: str
) -> None:
    told = {"state": "serving", "source": "snapshots/3", "reason": None, "models": {"m": model}}
    finding = deployed._colour("colour b", told)
    assert finding.status == status
    assert finding.says.startswith("serving on snapshots/3: m ")
    assert says in finding.says


def test_a_colour_that_has_nothing_to_serve_says_what_to_do() -> None:
    reason = "/models holds no model; add one with: regard repo add"
    told = {"state": "idle", "source": "repository", "reason": reason, "models": {}}
    finding = deployed._colour("colour a", told)
    assert (finding.status, finding.says) == ("note", "idle: /models holds no model")
    assert finding.next_step == "add one with: regard repo add"
    assert deployed._colour("colour b", told | {"source": None, "reason": None}).status == "ok"
