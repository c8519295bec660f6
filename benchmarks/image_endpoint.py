"""The endpoint for image files beside what one would write instead: ONNX Runtime in this process, and a
FastAPI app of a few lines (fastapi_app.py), which pip installs into a virtual environment for the run.

The same JPEGs, graph, decoding and processors, all in turn within one run. In process: as many workers as
processors, one compute thread each. FastAPI: as many uvicorn workers, over HTTP; ours over gRPC; 16 clients
of each, with one image a request. Before anything is measured, all must give the same answers.

The embedded server has memory settings that spare it page faults (serving/triton/installation.py). This
process has them too, so that it is the ceiling; the app runs once as it is and once with them.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import Figure, Network, classifier, console, mean_colour, run, served, street

from regard.contract import preprocess
from regard.contract.names import PROBABILITIES
from regard.export.artifact import Artifact
from regard.serving.bench.baseline import onnxruntime_step
from regard.serving.bench.compare import Runner, compare, in_process
from regard.serving.bench.load import Worker
from regard.serving.bench.measure import processors
from regard.serving.bench.target import find_target, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault
from regard.serving.triton.installation import MALLOC
from regard.serving.triton.ports import free_ports

CLIENTS = 16
APPS: dict[str, dict[str, str]] = {"FastAPI": {}, "FastAPI with our memory settings": MALLOC}
PACKAGES = ("fastapi>=0.110", "uvicorn[standard]>=0.29", "onnxruntime", "pillow", "numpy")
TARGETS = {
    ("mean_colour", "in process"): 0.85,
    ("mean_colour", "FastAPI"): 1.1,
    ("se_resnet50", "in process"): 0.95,
    ("se_resnet50", "FastAPI"): 1.0,
}
HERE = Path(__file__).parent
STARTING = 60.0  # seconds
KEPT = ("--timeout-keep-alive", "600")  # connections that wait while others are measured


class App:
    """A client of the app: one connection, one JPEG a request."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def answer(self, encoded: bytes) -> bytes:
        """The answer's bytes."""
        self.connection.request("POST", "/infer", encoded)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise Fault("INTERNAL", f"HTTP status {response.status}")
        return body

    def send(self, encoded: bytes) -> int:
        """The answer's size."""
        return len(self.answer(encoded))


def install(folder: Path) -> Path:
    """Make the app's virtual environment; returns its Python."""
    console.print("installing FastAPI into a virtual environment of its own")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--constraint", HERE.parent / "constraints.txt", *PACKAGES], check=True)
    return python


@contextmanager
def app(python: Path, artifact: Artifact, memory: Mapping[str, str]) -> Iterator[int]:
    """The app on a free port, with a worker for each processor and these memory settings."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        shutil.copy(HERE / "fastapi_app.py", folder)
        shutil.copy(preprocess.__file__, folder)
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", *MALLOC)
        }
        environment |= memory
        environment |= {"GRAPH": str(artifact.model), "CONTRACT": artifact.card.input.model_dump_json()}
        command = [
            python,
            "-m",
            "uvicorn",
            "fastapi_app:app",
            "--port",
            str(port),
            "--log-level",
            "warning",
            *KEPT,
        ]
        with subprocess.Popen(
            [*command, "--workers", str(processors())], cwd=folder, env=environment
        ) as process:
            try:
                _wait(port, process)
                yield port
            finally:
                process.terminate()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    sys.exit("the FastAPI app did not start; its messages are above")


def figures_of(network: Network, python: Path, duration: float, rounds: int) -> list[Figure]:
    """Throughput and p99 of each, and ours over the others'."""
    name = network[1].name
    images = street()
    with ExitStack() as stack:
        at = stack.enter_context(served(network))
        artifact = at.artifacts[name]
        ports = {each: stack.enter_context(app(python, artifact, memory)) for each, memory in APPS.items()}
        connection = connect(address_of(at.server.grpc_url, "grpc"), Credentials())
        stack.callback(connection.close)
        target = find_target(connection, name, endpoint="image", batch=1, images=images, shared_memory=False)
        step = onnxruntime_step(artifact.model, artifact.card)
        for image in images:
            wanted = step([image])
            ours = connection.infer(target.request([image]), timeout=60).arrays[PROBABILITIES]
            theirs = [np.frombuffer(App(port).answer(image), np.float32) for port in ports.values()]
            check_same(name, wanted, ours, *(answer.reshape(wanted.shape) for answer in theirs))
        runners = [
            in_process("in process", step, [[image] for image in images], processors(), batch=1),
            *(
                Runner(each, [Worker(App(port).send, images) for _ in range(CLIENTS)], 1)
                for each, port in ports.items()
            ),
            Runner("ours", stack.enter_context(workers(target, CLIENTS)), 1),
        ]
        found = {
            each.name: each
            for each in compare(runners, reference="in process", duration=duration, rounds=rounds)
        }
    for runner in found.values():
        if runner.errors:
            sys.exit(f"{name}: {runner.errors} requests to {runner.name} failed")
    figures = []
    for other in ("in process", *APPS):
        ratio = found["ours"].throughput.value / found[other].throughput.value
        figures.append(
            Figure(
                f"{name}: throughput over that of {other}",
                ratio,
                "",
                rounds,
                "rounds",
                target=TARGETS.get((name, other)),
                better="at least",
            )
        )
    p99 = found["ours"].p99.value / found["FastAPI"].p99.value
    target = 1.0 if name == "se_resnet50" else None
    asked = found["ours"].p99.n
    figures.append(Figure(f"{name}: p99 over that of FastAPI", p99, "", asked, "requests", target=target))
    for runner in found.values():
        details = json.loads(json.dumps(asdict(runner)))
        figures += [
            Figure(
                f"{name}: {runner.name}",
                runner.throughput.value,
                "images/s",
                rounds,
                "rounds",
                better="at least",
                half_width=runner.throughput.half_width,
                details=details,
            ),
            Figure(f"{name}: {runner.name}, p99", runner.p99.value, "ms", runner.p99.n, "requests"),
        ]
    return figures


def check_same(name: str, *answers: npt.NDArray[np.float32]) -> None:
    """End where servers of the same graph answer otherwise."""
    for answer in answers[1:]:
        if not np.allclose(answers[0], answer, atol=1e-5):
            sys.exit(f"{name}: the answers differ; they do not run the same graph on the same pixels")


def measure(quick: bool) -> list[Figure]:
    duration, rounds = (1.0, 1) if quick else (8.0, 5)
    heavy = classifier("se_resnet18", 64, width=16) if quick else classifier("se_resnet50", 224)
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        python = install(Path(folder, "venv"))
        return [
            figure
            for network in (mean_colour(224), heavy)
            for figure in figures_of(network, python, duration, rounds)
        ]


if __name__ == "__main__":
    if not set(MALLOC) <= set(os.environ):  # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | MALLOC)  # noqa: S606
    run("image_endpoint", f"one JPEG a request from {CLIENTS} clients, beside FastAPI and no server", measure)
