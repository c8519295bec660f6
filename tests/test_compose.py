"""docker-compose.yml and its overlays, read by Docker Compose itself, which needs no engine for that: the
laws that hold for every service. What the containers do is in tests/stack.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from regard.serving.deploy.tags import PRODUCTION
from regard.serving.repository.accelerators import ENGINE_CACHE

ROOT = Path(__file__).parents[1]
BASE = ROOT / "docker-compose.yml"
OVERLAYS = {
    "base": (BASE,),
    "gpu": (BASE, ROOT / "docker-compose.gpu.yml"),
    "dev": (BASE, ROOT / "docker-compose.dev.yml"),
    "gpu and dev": (BASE, ROOT / "docker-compose.gpu.yml", ROOT / "docker-compose.dev.yml"),
}
PLAIN = {"gateway", "keys", "prometheus", "triton-a", "triton-b"}
SERVICES = {*PLAIN, "client", "grafana"}  # with all profiles
OURS = {"keys", "triton-a", "triton-b", "client"}  # run our image


@pytest.fixture(scope="session")
def compose() -> str:
    found = shutil.which("docker-compose", path=sysconfig.get_path("scripts")) or shutil.which(
        "docker-compose"
    )
    if found is None and sys.version_info < (3, 11):
        pytest.skip("the package that holds Docker Compose needs Python 3.11")
    assert found, "no docker-compose; it comes with the extra `dev`"
    return found


def config(
    compose: str, *files: Path, profiles: str = "*", folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    options = [part for file in files for part in ("-f", str(file))]
    return subprocess.run(
        [compose, *options, "--profile", profiles, "config", "--format", "json"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in settings()} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read(compose: str, overlay: str = "base", **more: Any) -> dict[str, Any]:
    finished = config(compose, *OVERLAYS[overlay], **more)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def settings() -> dict[str, str]:
    """What .env says."""
    lines = (ROOT / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="session", params=OVERLAYS)
def stack(compose: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """All of it, with all profiles."""
    return read(compose, request.param)


@pytest.fixture(scope="session")
def services(stack: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stack["services"]
    return found


@pytest.fixture(scope="session")
def base(compose: str) -> dict[str, Any]:
    found: dict[str, Any] = read(compose)["services"]
    return found


@pytest.fixture(scope="session")
def gpu(compose: str) -> dict[str, Any]:
    found: dict[str, Any] = read(compose, "gpu")["services"]
    return found


@pytest.fixture(scope="session")
def dev(compose: str) -> dict[str, Any]:
    found: dict[str, Any] = read(compose, "dev")["services"]
    return found


def mounts(service: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {mount["target"]: mount for mount in service.get("volumes", ()) if mount["type"] == kind}


@contextmanager
def http_answers(status: int) -> Iterator[str]:
    """A server on loopback that answers every GET with `status`; gives its host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *parts: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# every service


def test_no_service_may_do_what_it_does_not_need(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] not in ("0", "root"), name
        assert not {"cap_add", "privileged", "pid", "ipc", "devices"} & service.keys(), name
        assert service.get("network_mode", "none") == "none", name


def test_every_service_has_limits(services):
    for name, service in services.items():
        assert 0 < service["pids_limit"] <= 1024, name
        assert 0 < int(service["mem_limit"]) <= 16 * 2**30, name
        assert service["logging"]["driver"] == "local", name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name


def test_what_is_written_to_in_memory_has_a_limit(services):
    for name, service in services.items():
        for mount in service.get("tmpfs", ()):
            assert re.fullmatch(r"/tmp:size=\d+[kmg],mode=1777|/deployment/client:size=4k,ro", mount), name


def test_services_that_stay_are_started_again_and_watched(services):
    for name, service in services.items():
        once = name in ("keys", "client", "build-engine")
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        assert ("healthcheck" in service) != (once or name == "grafana"), name
        assert ("stop_grace_period" in service) != (once or name == "grafana"), name


def test_what_is_mounted_from_the_folder_is_there_and_is_only_read(services):
    for name, service in services.items():
        assert "/var/run/docker.sock" not in json.dumps(service)
        for mount in mounts(service, "bind").values():
            assert mount["read_only"] is True, name
            assert mount["bind"] == {"create_host_path": False}, name  # a folder that is missing is an error
            source = Path(mount["source"])
            assert source.is_relative_to(ROOT), name
            assert source.exists(), (name, source)
            assert source != ROOT, name


def test_only_what_faces_users_is_reached_from_outside(stack):
    outside = {name for name, service in stack["services"].items() if service.get("ports")}
    assert outside == {"gateway", "prometheus", "grafana"}
    for name, service in stack["services"].items():
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", name
        networks = service.get("networks", {}).keys()
        wanted = {"inside", "edge"} if name in outside else {"inside"}
        assert networks == (set() if name in ("keys", "build-engine") else wanted), name
    assert stack["networks"]["inside"]["internal"] is True


@pytest.mark.parametrize(
    ("service", "setting"), [("gateway", True), ("prometheus", False), ("grafana", False)]
)
def test_only_the_gateway_can_be_opened_to_the_network(compose, service, setting):
    opened = read(compose, REGARD_BIND="0.0.0.0")["services"]
    (port,) = opened[service]["ports"]
    assert port["host_ip"] == ("0.0.0.0" if setting else "127.0.0.1")


def test_without_tls_it_cannot_be_opened_to_the_network(compose):
    opened = read(compose, "dev", REGARD_BIND="0.0.0.0")["services"]
    assert {port["host_ip"] for port in opened["gateway"]["ports"]} == {"127.0.0.1"}


def test_images_are_pinned(services):
    for name, service in services.items():
        tag = service["image"].partition("@")[0].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), name
        assert "latest" not in tag, name


# settings


def test_every_setting_has_its_default_in_both_files():
    """The stack is the same without .env, and .env shows all there is to set."""
    said = "".join(file.read_text() for file in {file for files in OVERLAYS.values() for file in files})
    used = dict(re.findall(r"(?<!\$)\$\{([A-Z_]+):-([^${}]*)\}", said))
    nested = set(re.findall(r"\$\{([A-Z_]+):-[^{}]*\$\{", said))  # the default is another's
    assert used == settings()
    assert all(f"# {name}=" in (ROOT / ".env").read_text() for name in nested - {"TENSORRT_IMAGE"})
    assert set(re.findall(r"(?<!\$)\$\{?([A-Z_]+)", said)) == used.keys() | nested


def test_there_is_no_password_and_no_key_in_what_is_kept(services):
    said = (ROOT / ".env").read_text() + json.dumps(services)
    said = said.replace("PASSWORD__FILE", "file")
    assert not re.search(r"(?i)(password|secret|api_key|token)[A-Z_]*[\"']?\s*[=:]\s*[\"']?[\w+/-]{6,}", said)


def test_a_plain_up_starts_what_serves(compose):
    assert read(compose, profiles="none")["services"].keys() == PLAIN
    assert read(compose)["services"].keys() == SERVICES
    assert read(compose, "gpu", profiles="none")["services"].keys() == {*PLAIN, "build-engine"}
    assert read(compose, "dev", profiles="none")["services"].keys() == PLAIN - {"keys"}


# Triton


@pytest.mark.parametrize("release", [None, "25.01"])
def test_all_of_ours_are_pinned_to_one_release(compose, release):
    """Engines load in the TensorRT that built them alone: another release is another for both."""
    variables = {} if release is None else {"TRITON_RELEASE": release}
    release = release or PRODUCTION
    found = read(compose, "gpu", **variables)["services"]
    for name in (*OURS, "build-engine"):
        image = "tensorrt" if name == "build-engine" else "tritonserver"
        assert found[name]["image"] == f"regard/{image}:{release}-py3"
        args = {"RELEASE": release, "BASE": f"nvcr.io/nvidia/{image}:{release}-py3"}
        assert found[name]["build"]["args"] == args


def test_a_base_can_be_pinned_by_its_digest(compose):
    digest = f"nvcr.io/nvidia/tritonserver:{PRODUCTION}-py3@sha256:{'0' * 64}"
    found = read(compose, TRITON_IMAGE=digest)["services"]
    assert {found[name]["build"]["args"]["BASE"] for name in OURS} == {digest}


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.engine"])
def test_an_image_is_built_from_the_default_unless_told_otherwise(file):
    text = (ROOT / "docker" / file).read_text()
    image = "tensorrt" if "engine" in file else "tritonserver"
    assert re.findall(r"^(?:ARG|FROM) .*$", text, re.MULTILINE)[:3] == [
        f"ARG RELEASE={PRODUCTION}",
        f"ARG BASE=nvcr.io/nvidia/{image}:${{RELEASE}}-py3",
        "FROM ${BASE}",
    ]


def test_both_colours_are_the_same_but_for_their_names(services):
    a, b = (json.dumps(services[f"triton-{colour}"]) for colour in "ab")
    assert a.replace("--colour=a", "--colour=b").replace("engine-cache-a", "engine-cache-b") == b
    assert "--colour=a" in a


def test_a_colour_sees_its_models_and_no_key(base):
    service = base["triton-a"]
    binds = mounts(service, "bind")
    assert {target: Path(mount["source"]).name for target, mount in binds.items()} == {
        "/models": "model_repository",
        "/deployment": "deployment",
    }
    assert mounts(service, "volume") == {}
    assert "/deployment/client:size=4k,ro" in service["tmpfs"]  # hides the folder's keys
    assert (ROOT / "deployment" / "client" / ".gitignore").is_file()  # what is hidden must be there
    assert service["entrypoint"] is None  # the image's
    assert service["command"] == ["--colour=a", "--deployment=/deployment", "--repository=/models"]


def test_keys_are_where_they_are_needed(base):
    seen = {
        name: {mount["source"]: not mount.get("read_only") for mount in mounts(service, "volume").values()}
        for name, service in base.items()
    }
    assert seen == {
        "keys": {"keys": True, "gateway-keys": True, "client-keys": True, "grafana-keys": True},
        "gateway": {"gateway-keys": False},
        "client": {"client-keys": False},
        "grafana": {"grafana-keys": False, "grafana": True},
        "prometheus": {"prometheus": True},
        "triton-a": {},
        "triton-b": {},
    }


def test_shared_memory_is_large_enough_for_python_models(services):
    for colour in "ab":
        service = services[f"triton-{colour}"]
        assert 2**30 <= int(service["shm_size"]) < int(service["mem_limit"])


def test_the_gateway_refuses_before_its_memory_is_at_an_end(base):
    (heap,) = re.findall(
        r"max_heap_size_bytes: (\d+)", (ROOT / "docker" / "gateway" / "envoy.yaml").read_text()
    )
    assert int(heap) < int(base["gateway"]["mem_limit"])


# health


def test_the_health_check_of_a_colour_succeeds_on_200_and_fails_otherwise(base):
    kind, _, *arguments = base["triton-a"]["healthcheck"]["test"]
    assert kind == "CMD"
    for status, healthy in ((200, True), (503, False)):
        with http_answers(status) as address:
            parts = [part.replace("127.0.0.1:8003", address) for part in arguments]
            finished = subprocess.run([sys.executable, *parts], capture_output=True, timeout=30, check=False)
        assert (finished.returncode == 0) is healthy


def test_the_health_check_of_the_gateway_succeeds_on_200_and_fails_otherwise(base):
    kind, *command = base["gateway"]["healthcheck"]["test"]
    assert kind == "CMD"
    for status, healthy in ((200, True), (503, False)):
        with http_answers(status) as address:
            parts = [
                part.replace("127.0.0.1/9902", address.replace(":", "/")).replace("$$", "$")
                for part in command
            ]
            finished = subprocess.run(parts, capture_output=True, timeout=30, check=False)
        assert (finished.returncode == 0) is healthy
    finished = subprocess.run(parts, capture_output=True, timeout=30, check=False)
    assert finished.returncode != 0  # nobody listens


# the overlay for GPUs


def test_only_the_overlay_asks_for_a_gpu(base, gpu):
    assert not any("deploy" in service or "ulimits" in service for service in base.values())
    for name in ("build-engine", "triton-a", "triton-b"):
        (device,) = gpu[name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_servers_start_after_the_engines_whatever_became_of_them(gpu):
    for colour in "ab":
        assert gpu[f"triton-{colour}"]["depends_on"] == {
            "build-engine": {"condition": "service_completed_successfully", "required": False}
        }


def test_the_servers_read_the_engines_that_the_other_service_writes(gpu):
    written = mounts(gpu["build-engine"], "volume")
    assert written.keys() == {"/engines"}
    assert "read_only" not in written["/engines"]
    for colour in "ab":
        found = mounts(gpu[f"triton-{colour}"], "volume")
        assert found.keys() == {"/engines", ENGINE_CACHE}
        assert found["/engines"]["source"] == written["/engines"]["source"]
        assert found["/engines"]["read_only"] is True
        assert found[ENGINE_CACHE]["source"] == f"engine-cache-{colour}"


def test_float32_is_float32_on_a_gpu(gpu):
    """ONNX Runtime's TensorRT has no option of its own that keeps it from TF32."""
    for colour in "ab":
        assert gpu[f"triton-{colour}"]["environment"]["NVIDIA_TF32_OVERRIDE"] == "0"


def test_the_build_has_no_network_and_ends_at_a_signal(gpu):
    assert gpu["build-engine"]["network_mode"] == "none"
    assert gpu["build-engine"]["init"] is True


def test_the_build_command_is_ours(gpu):
    python, option, module, release, *folders = gpu["build-engine"]["command"]
    assert (python, option, release) == ("python3", "-m", f"--release={PRODUCTION}")
    assert (ROOT / "src" / Path(*module.split("."))).with_suffix(".py").is_file()
    assert folders == ["/models", "/engines"]


@pytest.mark.parametrize("taken", [True, False])
def test_the_repository_of_a_server_is_the_snapshot_with_engines_or_itself(gpu, base, tmp_path, taken):
    """Its command, by a stand-in for Python that prints its arguments."""
    volume = tmp_path / "engines"
    (volume / "snapshots" / "1").mkdir(parents=True)
    if taken:
        (volume / "current").symlink_to("snapshots/1")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    entry = [*gpu["triton-b"]["entrypoint"], *gpu["triton-b"]["command"]]
    entry = [part.replace("$$", "$").replace("/engines", str(volume)) for part in entry]
    output = subprocess.run(
        entry,
        env={"PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.splitlines()
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    plain = [*json.loads(entry), *base["triton-b"]["command"]]
    models = f"{volume}/current" if taken else "/models"
    said = [] if taken else ["no snapshot with engines: serving /models"]
    assert output == [*said, *plain[1:], f"--repository={models}"]  # the last one counts


def test_the_image_for_engines_holds_what_builds_them(gpu):
    """The code without what is trained, the pinned packages, and a folder for the volume, to be written."""
    build = gpu["build-engine"]["build"]
    dockerfile = (ROOT / build["dockerfile"]).read_text()
    copied = dict(re.findall(r"^COPY (\S+) (\S+)$", dockerfile, re.MULTILINE))
    assert copied.pop("constraints.txt").startswith("/tmp/")
    assert copied == {name: f"/opt/regard/{name}" for name in ("src", "export", "serving")}
    ignore = (ROOT / f"{build['dockerfile']}.dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == {*copied, "constraints.txt"}
    assert "install -d -o 1000 -g 1000 /engines" in dockerfile
    (path,) = re.findall(r"PYTHONPATH=(\S+)", dockerfile)
    assert path.split(":") == ["/opt/regard/src", "/opt/regard/packages"]
    assert "--target /opt/regard/packages --constraint /tmp/constraints.txt" in dockerfile


# the overlay for development


def test_for_development_there_are_no_keys_and_the_usual_ports(base, dev):
    gateway = dev["gateway"]
    assert {(port["published"], port["target"]) for port in gateway["ports"]} == {
        ("8000", 8080),
        ("8001", 8080),
    }
    assert gateway["command"] == [*base["gateway"]["command"][:-1], "/etc/envoy/envoy.dev.yaml"]
    assert "keys" not in gateway.get("depends_on", {})
    assert dev["client"]["command"][-2:] == ["http://gateway:8080", "grpc://gateway:8080"]
    assert not any("keys" in part for part in dev["client"]["command"])


def test_an_unknown_key_is_refused(compose, tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(
        BASE.read_text().replace("  read_only: true\n  cap_drop", "  readonly: true\n  cap_drop")
    )
    assert broken.read_text() != BASE.read_text()
    finished = config(compose, broken)
    assert finished.returncode != 0
    assert "readonly" in finished.stderr


def test_every_run_of_the_keys_names_the_host(compose: str) -> None:
    """`docker compose run keys ...` replaces the command, and would lose a name that stood there."""
    keys = read(compose, REGARD_HOST="vision.example.com")["services"]["keys"]
    assert keys["entrypoint"][-1] == "--host=vision.example.com"
    assert keys["command"] is None
