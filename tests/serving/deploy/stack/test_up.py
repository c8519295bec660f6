"""`regard up` and `regard down`, with a stand-in for docker-compose; with the real one in tests/stack."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.serving.deploy.stack import stand_in_compose
from tests.serving.stand_ins import programs
from typer.testing import CliRunner

from regard.errors import InvalidInput
from regard.serving.cli.app import app
from regard.serving.deploy.colours import write_colours
from regard.serving.deploy.routing import Routing, write_routing
from regard.serving.deploy.stack import readiness
from regard.serving.deploy.stack.client_keys import FILES
from regard.serving.deploy.stack.compose import StackError, compose_in
from regard.serving.deploy.stack.up import check_readable, down, up

__all__ = ["programs"]

CONFIG: dict[str, Any] = {
    "services": {
        "keys": {
            "restart": "no",
            "entrypoint": ["python3", "-m", "regard.serving.deploy.keys", "--host=example.org"],
        },
        "triton-a": {
            "restart": "unless-stopped",
            "image": "regard/tritonserver:26.10-py3",
            "depends_on": {"build-engine": {"required": False}},
        },
        "build-engine": {"restart": "no"},
        "gateway": {
            "restart": "unless-stopped",
            "depends_on": {"keys": {"required": True}},
            "ports": [{"host_ip": "127.0.0.1", "published": "8443", "target": 8443}],
        },
        "prometheus": {
            "restart": "unless-stopped",
            "ports": [{"host_ip": "127.0.0.1", "published": "9090", "target": 9090}],
        },
    }
}


def container(service: str, state: str = "running", health: str = "healthy", code: int = 0) -> dict[str, Any]:
    return {"Service": service, "State": state, "Health": health, "ExitCode": code}


READY = [
    container("keys", "exited", ""),
    container("build-engine", "exited", "", 1),  # without engines the graphs are served
    *map(container, ("triton-a", "gateway", "prometheus")),
]
STARTING = [container("triton-a", health="starting"), *READY[:2], *READY[3:]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LOOK", 0.0)


@pytest.fixture
def stand_in(programs: Any, tmp_path: Path) -> Any:
    """`stand_in(config=..., ps=...)`: docker-compose is on PATH, with a scenario; gives what it was told."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    script = Path(shutil.copy(stand_in_compose.__file__, folder))

    def make(**scenario: Any) -> Any:
        programs(docker_compose=f'exec {sys.executable} -IS {script} "$@"')
        (folder / "scenario.json").write_text(json.dumps({"config": CONFIG, "ps": [READY]} | scenario))
        return lambda: [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]

    return make


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "model_repository").mkdir(parents=True)
    for name in ("docker-compose.yml", "docker-compose.gpu.yml", "docker-compose.dev.yml"):
        (folder / name).touch()
    return folder


def quiet(_: str) -> None:
    pass


def test_a_stack_that_is_up_says_where_it_is(stand_in, project):
    told = stand_in(ps=[[], STARTING, READY])
    lines: list[str] = []
    running = up(project, report=lines.append)
    assert (running.http, running.grpc) == ("https://localhost:8443", "grpcs://localhost:8443")
    assert running.prometheus == "http://127.0.0.1:9090"
    assert running.release == "26.10"
    assert lines[0] == "Container regard-triton-a-1 Started"
    assert lines[1].startswith("waiting for keys (not there), triton-a (not there)")
    assert lines[2] == "waiting for triton-a (starting)"
    assert ["--file", "docker-compose.yml", "--progress", "plain", "up", "--detach"] in told()
    json.dumps(running.to_json())


def test_the_keys_are_copied_for_their_owner_alone(stand_in, project):
    stand_in()
    previous = os.umask(0)
    try:
        running = up(project, report=quiet)
    finally:
        os.umask(previous)
    folder = project / "deployment" / "client"
    assert running.api_key == folder / "api_key"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (folder / name).read_text() == f"{name} of the volume\n"
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_overlays_are_laid_on_in_order(stand_in, project):
    config = json.loads(json.dumps(CONFIG))
    config["services"]["gateway"]["ports"] = [
        {"host_ip": "127.0.0.1", "published": "8000", "target": 8080},
        {"host_ip": "127.0.0.1", "published": "8001", "target": 8080},
    ]
    del config["services"]["keys"]
    told = stand_in(config=config)
    running = up(project, gpu=True, dev=True, build=True, report=quiet)
    files = [
        part
        for name in ("docker-compose.yml", "docker-compose.gpu.yml", "docker-compose.dev.yml")
        for part in ("--file", name)
    ]
    assert [each[6:] for each in told() if "--progress" in each] == [
        ["--progress", "plain", "build"],
        ["--progress", "plain", "up", "--detach"],
    ]
    assert all(each[:6] == files for each in told() if "--progress" in each)
    assert (running.http, running.grpc) == ("http://127.0.0.1:8000", "grpc://127.0.0.1:8001")
    assert running.ca is None
    assert not (project / "deployment").exists()


def test_opened_to_the_network_it_is_called_by_the_name_of_its_certificate(stand_in, project):
    config = json.loads(json.dumps(CONFIG))
    config["services"]["gateway"]["ports"][0]["host_ip"] = "0.0.0.0"
    stand_in(config=config)
    assert up(project, report=quiet).http == "https://example.org:8443"


def test_a_service_that_ends_is_an_error_at_once(stand_in, project):
    stand_in(ps=[[container("keys", "exited", "", 1), *READY[1:]]])
    with pytest.raises(StackError, match=r"not ready: keys \(ended with code 1\).*what keys said last"):
        up(project, report=quiet)


@pytest.mark.parametrize("state", [("running", "unhealthy"), ("restarting", ""), ("created", "")])
def test_a_service_that_does_not_get_ready_is_an_error_after_a_while(stand_in, project, state):
    stand_in(ps=[[container("triton-a", *state), *READY[:2], *READY[3:]]])
    with pytest.raises(StackError, match=r"within 0 s: triton-a \(\w+\).*what triton-a said last"):
        up(project, timeout=0.0, report=quiet)


def test_down_removes_all_and_with_volumes_what_was_copied(stand_in, project):
    told = stand_in()
    up(project, report=quiet)
    down(project, report=quiet)
    assert told()[-1][6:] == ["--progress", "plain", "--profile", "*", "down", "--remove-orphans"]
    assert (project / "deployment" / "client" / "api_key").is_file()
    down(project, volumes=True, report=quiet)
    assert told()[-1][-1] == "-v"
    assert [*(project / "deployment" / "client").iterdir()] == []


def test_the_models_are_named(stand_in, project):
    stand_in()
    for endpoint in ("streets", "streets_image", "garments"):
        (project / "model_repository" / endpoint).mkdir()
        (project / "model_repository" / endpoint / "config.pbtxt").touch()
    running = up(project, report=quiet)
    assert running.models == ("garments", "streets")
    shutil.rmtree(project / "model_repository")
    with pytest.raises(
        InvalidInput, match="there is no .*model_repository; add a model to it with: regard repo add"
    ):
        up(project, report=quiet)


def test_after_a_rollout_its_snapshot_is_what_serves(stand_in, project):
    """Whose versions are not those of the model repository, by which the line that is told would verify."""
    stand_in()
    deployment = project / "deployment"
    (deployment / "snapshots" / "3" / "streets").mkdir(parents=True)
    (deployment / "snapshots" / "3" / "streets" / "config.pbtxt").touch()
    write_colours(deployment, {"a": "repository", "b": "snapshots/3"})
    write_routing(deployment, Routing("b"))
    said = CliRunner().invoke(app, ["up", "--project", str(project)])
    assert said.exit_code == 0, said.output
    assert f"regard verify streets --repository {deployment / 'snapshots' / '3'} --url" in said.stdout


def test_without_docker_the_error_says_what_to_install(programs, project):
    programs()
    with pytest.raises(StackError, match="docker-compose-plugin"):
        compose_in(project)


def test_without_an_engine_the_error_is_dockers(stand_in, project):
    stand_in(fails="ls")
    with pytest.raises(StackError, match=r"code 1 in .*: first line; Cannot connect.*Next: start Docker"):
        up(project, report=quiet)


def test_what_compose_says_of_a_failure_is_shown(stand_in, project):
    stand_in(fails="up")
    with pytest.raises(StackError, match=r"up --detach` ended with code 1 in .*first line; Cannot connect"):
        up(project, report=quiet)


def test_a_folder_without_a_stack_is_refused(stand_in, tmp_path, project):
    stand_in()
    with pytest.raises(InvalidInput, match=r"holds no docker-compose\.yml; name the folder of the stack"):
        up(tmp_path, report=quiet)
    (project / "docker-compose.gpu.yml").unlink()
    with pytest.raises(InvalidInput, match=r"holds no docker-compose\.gpu\.yml"):
        up(project, gpu=True, report=quiet)


def test_a_plug_in_is_preferred(programs, project):
    programs(docker="exit 0", docker_compose="exit 0")
    assert compose_in(project).program == ("docker", "compose")
    programs(docker="exit 1")
    assert compose_in(project).program == ("docker-compose",)


def test_models_that_the_containers_cannot_read_are_named(tmp_path):
    model = tmp_path / "models" / "classifier" / "1" / "model.onnx"
    model.parent.mkdir(parents=True)
    model.touch()
    another = os.getuid() + 1
    for user in (os.getuid(), another):
        check_readable(tmp_path / "models", user)
    model.chmod(0o600)
    check_readable(tmp_path / "models", os.getuid())
    with pytest.raises(InvalidInput, match=rf"model\.onnx cannot be read by .* {another}; next: chmod"):
        check_readable(tmp_path / "models", another)


def test_a_clone_that_is_its_owners_alone_is_named_before_anything_starts(stand_in, project):
    told = stand_in()
    (project / "docker" / "prometheus").mkdir(parents=True, mode=0o700)
    with pytest.raises(InvalidInput, match=r"docker/prometheus cannot be read by the container's user 65534"):
        up(project, report=quiet)
    assert not [each for each in told() if "up" in each]


@pytest.mark.parametrize("tag", ["latest", "26.13-py3"])
def test_a_release_that_is_none_is_named_before_anything_starts(stand_in, project, tag):
    config = json.loads(json.dumps(CONFIG))
    config["services"]["triton-a"]["image"] = f"regard/tritonserver:{tag}"
    told = stand_in(config=config)
    with pytest.raises(InvalidInput, match="release of Triton"):
        up(project, report=quiet)
    assert not [each for each in told() if "up" in each]


@pytest.mark.parametrize(
    "said", ["compose build requires buildx 0.17 or later", "the --mount option requires BuildKit"]
)
def test_what_builds_images_is_named_where_it_lacks(programs, project, said):
    programs(docker="exit 1", docker_compose=f'case "$*" in *build*) echo "error: {said}"; exit 1;; esac')
    with pytest.raises(
        StackError, match="Next: install docker-buildx-plugin, which is Debian's docker-buildx"
    ):
        compose_in(project).follow("build", report=quiet)


def test_the_commands(stand_in, project):
    config = json.loads(json.dumps(CONFIG))
    config["services"]["triton-a"]["image"] = "regard/tritonserver:24.10-py3"
    stand_in(config=config)
    said = CliRunner().invoke(app, ["up", "--project", str(project)])
    assert said.exit_code == 0, said.output
    assert "warning: Triton 24.10 has faults by which strangers can run code (CVE-2025-23319" in said.stderr
    assert "holds no model; add one with: regard repo add" in said.stderr
    assert "gRPC                 grpcs://localhost:8443" in said.stdout
    key = project / "deployment" / "client" / "api_key"
    assert f"try: REGARD_API_KEY=$(cat {key}) regard verify MODEL --repository" in said.stdout
    said = CliRunner().invoke(app, ["up", "--project", str(project), "--json"])
    assert json.loads(said.stdout)["http"] == "https://localhost:8443"
    said = CliRunner().invoke(app, ["down", "--project", str(project)])
    assert (said.exit_code, said.stdout) == (0, "down\n")
