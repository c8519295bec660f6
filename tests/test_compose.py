"""docker-compose.yml and its GPU overlay, read by Docker Compose itself, which needs no engine for that."""

import json
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


def config(compose: str, *files: Path) -> subprocess.CompletedProcess[str]:
    options = [part for file in files for part in ("-f", str(file))]
    return subprocess.run(
        [compose, *options, "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(params=OVERLAYS)
def triton(compose: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    finished = config(compose, *OVERLAYS[request.param])
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    services = json.loads(finished.stdout)["services"]
    assert list(services) == ["triton"]
    return services["triton"]


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


def test_the_server_may_do_nothing_that_it_does_not_need(triton):
    assert triton["read_only"] is True
    assert triton["cap_drop"] == ["ALL"]
    assert "cap_add" not in triton
    assert not triton.get("privileged")
    assert triton["security_opt"] == ["no-new-privileges:true"]
    assert triton["user"].split(":")[0] not in ("0", "root")
    assert triton["pids_limit"] > 0
    assert [mount.split(":")[0] for mount in triton["tmpfs"]] == ["/tmp"]


def test_every_port_is_on_loopback(triton):
    assert {port["target"]: port["host_ip"] for port in triton["ports"]} == dict.fromkeys(
        (8000, 8001, 8002), "127.0.0.1"
    )


def test_it_reads_the_model_repository_and_sees_nothing_else_of_ours(triton):
    (mount,) = triton["volumes"]
    assert (mount["source"], mount["read_only"]) == (str(ROOT / "model_repository"), True)
    assert f"--model-repository={mount['target']}" in triton["command"]
    assert not any("backend-directory" in part for part in triton["command"])  # the image's own C++ backends


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


def test_the_image_is_pinned(triton):
    base = re.search(r"^FROM (\S+)$", (ROOT / triton["build"]["dockerfile"]).read_text(), re.MULTILINE)
    assert base
    name, tag = base[1].rsplit(":", 1)
    assert name.endswith("/nvidia/tritonserver")
    assert re.fullmatch(r"\d\d\.\d\d-py3", tag)
    assert triton["image"].endswith(f":{tag}")


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
    cpu, gpu = (
        json.loads(config(compose, *files).stdout)["services"]["triton"] for files in OVERLAYS.values()
    )
    assert "deploy" not in cpu
    assert "ulimits" not in cpu
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_an_unknown_key_is_refused(compose, tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(
        CPU.read_text().replace("    read_only: true\n    cap_drop", "    readonly: true\n    cap_drop")
    )
    assert broken.read_text() != CPU.read_text()
    finished = config(compose, broken)
    assert finished.returncode != 0
    assert "readonly" in finished.stderr
