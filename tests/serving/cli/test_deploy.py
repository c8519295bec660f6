"""`regard deploy`: how it is called, and what it shows."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from regard.errors import InvalidInput, ServerUnreachable
from regard.serving.cli.app import app
from regard.serving.deploy.colours import write_colours
from regard.serving.deploy.rollout.history import Entry, note
from regard.serving.triton.ports import free_ports


def deploy(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["deploy", *arguments], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize(
    "arguments",
    [[], ["artifact", "--rollback"], ["--rollback", "--retire"], ["--embedded", "--status"], ["--embedded"]],
)
def test_one_thing_at_a_time(arguments: list[str]) -> None:
    result = deploy(*arguments)
    assert result.exit_code == 2
    assert "artifact" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--canary", "60%"], "from 1 to 49 percent, got 60|1 to 49 percent of the requests, got 60"),
        (["--canary", "100%"], "got 100"),
        (["--canary", "0"], "got 0"),
        (["--slo", "fast"], "an objective is p95=50ms"),
        (["--watch-seconds", "-1"], "seconds must not be negative"),
        (["--least-requests", "0"], "tried for some seconds"),
        ([], "is no exported model"),
    ],
)
def test_what_cannot_be_tried_is_refused_first(tmp_path: Path, arguments: list[str], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        deploy(str(tmp_path), "--deployment", str(tmp_path), *arguments)


@pytest.mark.parametrize("option", [["--slo", "p95=50ms"], ["--canary", "10%"], ["--least-seconds", "1"]])
def test_the_embedded_server_takes_no_option_that_it_would_pass_over(option: list[str]) -> None:
    result = deploy("artifact", "--embedded", *option)
    assert result.exit_code == 2
    assert f"{option[0]} is for two servers" in result.stderr


def test_a_share_is_a_percentage() -> None:
    result = deploy("artifact", "--canary", "a tenth")
    assert result.exit_code == 2
    assert "such as 10%" in result.stderr


def test_the_history_is_there_without_a_gateway(tmp_path: Path) -> None:
    """A reason may hold brackets, which are no markup."""
    note(tmp_path, Entry(event="promoted", colour="b", source="snapshots/1", model="m", version=2, before=1))
    reason = "its p95 [ms] is 9"
    note(
        tmp_path, Entry(event="refused", colour="b", source="snapshots/1", model="m", tried=3, reason=reason)
    )
    said = json.loads(deploy("--history", "--json", "--deployment", str(tmp_path)).stdout)
    assert [(entry["event"], entry["version"], entry["tried"]) for entry in said] == [
        ("promoted", 2, None),
        ("refused", None, 3),
    ]
    table = deploy("--history", "--deployment", str(tmp_path)).stdout
    assert "snapshots/1" in table
    assert reason in table


def test_a_gateway_that_does_not_answer(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(InvalidInput, match="nothing to go back to"):
        deploy("--rollback", "--deployment", str(tmp_path), "--url", url)
    note(tmp_path, Entry(event="promoted", colour="a", source="repository", model="m", version=2, before=1))
    with pytest.raises(ServerUnreachable, match=f"no server answers at {url}|127.0.0.1:{port}"):
        deploy("--rollback", "--deployment", str(tmp_path), "--url", url)


def test_what_is_written_can_be_read_by_the_containers(tmp_path: Path) -> None:
    """Whatever the user keeps to himself otherwise."""
    write_colours(tmp_path, {"a": "repository", "b": "snapshots/1"})
    before = os.umask(0o077)
    try:
        said = deploy("--retire", "--deployment", str(tmp_path))
    finally:
        os.umask(before)
    assert "retired: b" in said.stdout
    assert (tmp_path / "colours.json").stat().st_mode & 0o777 == 0o644


def test_an_operators_key_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "operator_key").write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match="cannot read the operator's key"):
        deploy("--history", "--deployment", str(tmp_path))
