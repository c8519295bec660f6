"""docker-compose.yml and its GPU overlay, read by Docker Compose itself, which needs no engine for that."""

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

from regard.serving.repository.accelerators import ENGINE_CACHE
from regard.serving.repository.releases import RELEASE
from regard.serving.triton.backends.files import FILES
from regard.serving.triton.installation import MALLOC

ROOT = Path(__file__).parents[1]
CPU = ROOT / "docker-compose.yml"
OVERLAYS = {"cpu": (CPU,), "gpu": (CPU, ROOT / "docker-compose.gpu.yml")}


@pytest.fixture(scope="session")
def compose() -> str:
    found = shutil.which("docker-compose", path=sysconfig.get_path("scripts")) or shutil.which(
        "docker-compose"
    )
    if found is None and sys.version_info < (3, 11):
        pytest.skip("the package that holds Docker Compose needs Python 3.11")
    assert found, "no docker-compose; it comes with the extra `dev`"
    return found


def config(compose: str, *files: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    options = [part for file in files for part in ("-f", str(file))]
    return subprocess.run(
        [compose, *options, "config", "--format", "json"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def services(compose: str, overlay: str, **variables: str) -> dict[str, Any]:
    finished = config(compose, *OVERLAYS[overlay], **variables)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    found: dict[str, Any] = json.loads(finished.stdout)["services"]
    assert list(found) == {"cpu": ["triton"], "gpu": ["build-engine", "triton"]}[overlay]
    return found


@pytest.fixture(params=OVERLAYS)
def triton(compose: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = services(compose, request.param)["triton"]
    return found


@pytest.fixture
def gpu(compose: str) -> dict[str, Any]:
    """Both services, with the overlay."""
    return services(compose, "gpu")


@pytest.fixture(params=["cpu triton", "gpu triton", "gpu build-engine"])
def service(compose: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    overlay, name = request.param.split()
    found: dict[str, Any] = services(compose, overlay)[name]
    return found


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


def test_no_service_may_do_what_it_does_not_need(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["pids_limit"] > 0
    assert [mount.split(":")[0] for mount in service["tmpfs"]] == ["/tmp"]


def test_every_port_is_on_loopback(triton):
    assert {port["target"]: port["host_ip"] for port in triton["ports"]} == dict.fromkeys(
        (8000, 8001, 8002), "127.0.0.1"
    )


def test_the_model_repository_is_read_and_nothing_else_of_ours(service):
    (mount,) = (each for each in service["volumes"] if each["type"] == "bind")
    assert (mount["source"], mount["target"]) == (str(ROOT / "model_repository"), "/models")
    assert mount["read_only"] is True
    assert any("/models" in part for part in service["command"])
    assert not any("backend-directory" in part for part in service["command"])  # the image's own C++ backends


def test_shared_memory_is_large_enough_for_python_models(triton):
    assert int(triton["shm_size"]) >= 2**30


def test_the_health_check_asks_whether_the_models_are_ready(triton):
    test = triton["healthcheck"]["test"]
    assert test[0] == "CMD"
    assert any("http://127.0.0.1:8000/v2/health/ready" in part for part in test)


def test_the_health_check_succeeds_on_200_and_fails_otherwise(triton):
    command = triton["healthcheck"]["test"][1:]
    for status, healthy in ((200, True), (400, False)):
        with http_answers(status) as address:
            parts = [part.replace("127.0.0.1:8000", address) for part in command]
            finished = subprocess.run(
                [sys.executable, *parts[1:]], capture_output=True, timeout=30, check=False
            )
        assert (finished.returncode == 0) is healthy


@pytest.mark.parametrize("release", [None, "25.01"])
def test_both_images_are_pinned_to_one_release(compose, release):
    """Engines load in the TensorRT that built them alone: another release is another for both."""
    variables = {} if release is None else {"TRITON_RELEASE": release}
    for name, service in services(compose, "gpu", **variables).items():
        dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
        assert re.findall(r"^ARG RELEASE=(\S+)$", dockerfile, re.MULTILINE) == [RELEASE]
        (base,) = re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)
        image = {"triton": "tritonserver", "build-engine": "tensorrt"}[name]
        assert base == f"nvcr.io/nvidia/{image}:${{RELEASE}}-py3"
        assert service["build"]["args"] == {"RELEASE": release or RELEASE}
        assert service["image"] == f"regard/{image}:{release or RELEASE}-py3"


def test_the_image_holds_our_backend_for_image_files_and_no_other(triton):
    """The very files of the embedded server, and its memory settings; the C++ backends are NVIDIA's own."""
    dockerfile = (ROOT / triton["build"]["dockerfile"]).read_text()
    copied = dict(re.findall(r"^COPY (\S+) (\S+)$", dockerfile, re.MULTILINE))
    assert copied.pop("constraints.txt").startswith("/tmp/")
    assert set(copied.values()) == {"/opt/tritonserver/backends/regard_image/"}
    assert {(ROOT / source).resolve() for source in copied} == {
        file.resolve() for file in FILES["regard_image"]
    }
    (pip,) = re.findall(r"^RUN .*pip install (.*) &&", dockerfile, re.MULTILINE)
    assert {"pillow", '"numpy<2"', "onnxruntime", "openvino"} <= set(pip.split())
    (settings,) = re.findall(r"^ENV (.*)$", dockerfile, re.MULTILINE)
    assert dict(setting.split("=") for setting in settings.split()) == MALLOC


def test_the_image_is_built_from_files_that_the_context_lets_through(triton):
    dockerfile = (ROOT / triton["build"]["dockerfile"]).read_text()
    assert Path(triton["build"]["context"]) == ROOT
    copied = set(re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE))
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / name).is_file() for name in copied)


def test_only_the_overlay_asks_for_a_gpu(compose):
    cpu = services(compose, "cpu")["triton"]
    assert "deploy" not in cpu
    assert "ulimits" not in cpu
    for service in services(compose, "gpu").values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_server_starts_after_the_engines_whatever_became_of_them(gpu):
    assert gpu["triton"]["depends_on"] == {
        "build-engine": {"condition": "service_completed_successfully", "required": False}
    }
    assert gpu["build-engine"]["restart"] == "no"


def test_the_server_reads_the_engines_that_the_other_service_writes(gpu):
    mounts = {
        name: {each["target"]: each for each in service["volumes"] if each["type"] == "volume"}
        for name, service in gpu.items()
    }
    assert mounts["build-engine"].keys() == {"/engines"}
    assert mounts["triton"].keys() == {"/engines", ENGINE_CACHE}
    written, read = (mounts[name]["/engines"] for name in ("build-engine", "triton"))
    assert written["source"] == read["source"] == "engines"
    assert "read_only" not in written
    assert read["read_only"] is True


def test_float32_is_float32_on_a_gpu(gpu):
    """ONNX Runtime's TensorRT has no option of its own that keeps it from TF32."""
    assert gpu["triton"]["environment"]["NVIDIA_TF32_OVERRIDE"] == "0"


def test_the_build_has_no_network_and_ends_at_a_signal(gpu):
    assert gpu["build-engine"]["network_mode"] == "none"
    assert "ports" not in gpu["build-engine"]
    assert gpu["build-engine"]["init"] is True


def test_the_build_command_is_ours(gpu):
    python, option, module, release, *folders = gpu["build-engine"]["command"]
    assert (python, option, release) == ("python3", "-m", f"--release={RELEASE}")
    assert (ROOT / "src" / Path(*module.split("."))).with_suffix(".py").is_file()
    assert folders == ["/models", "/engines"]


@pytest.mark.parametrize("taken", [True, False])
def test_the_server_takes_the_snapshot_or_the_repository_itself(compose, tmp_path, taken):
    """Its command, by a stand-in for the server that prints its arguments."""
    volume = tmp_path / "engines"
    (volume / "snapshots" / "1").mkdir(parents=True)
    if taken:
        (volume / "current").symlink_to("snapshots/1")
    server = tmp_path / "bin" / "tritonserver"
    server.parent.mkdir()
    server.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    server.chmod(0o755)
    plain, command = (services(compose, overlay)["triton"]["command"] for overlay in OVERLAYS)
    shell, option, script = (part.replace("$$", "$").replace("/engines", str(volume)) for part in command)
    path = {"PATH": os.pathsep.join([str(server.parent), os.environ["PATH"]])}
    output = subprocess.run(
        [shell, option, script], env=path, capture_output=True, text=True, timeout=30, check=True
    ).stdout.splitlines()
    models = f"{volume}/current" if taken else "/models"
    assert output[:-3] == ([] if taken else ["no snapshot with engines: serving /models"]) + [str(server)]
    assert output[-3:] == [f"--model-repository={models}", *plain[2:]]


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


def test_an_unknown_key_is_refused(compose, tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(
        CPU.read_text().replace("    read_only: true\n    cap_drop", "    readonly: true\n    cap_drop")
    )
    assert broken.read_text() != CPU.read_text()
    finished = config(compose, broken)
    assert finished.returncode != 0
    assert "readonly" in finished.stderr
