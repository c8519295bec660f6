"""The servers that peers.py compares: ours, and apps of a few lines (peer_apps/), each in a virtual
environment of its own that pip fills for the run.
"""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import console
from regard_serve import RegardServe

from regard.contract import preprocess
from regard.errors import RegardError
from regard.export.artifact import Artifact
from regard.serving.bench.load import Worker
from regard.serving.bench.measure import processors
from regard.serving.bench.target import Target, find_target, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports

HERE = Path(__file__).parent
SAME = ("onnxruntime", "pillow", "numpy")  # in the versions of constraints.txt, as ours
STARTING = 60.0  # seconds
ENDING = 10.0
LASTS = 2.0  # seconds that a connection is used: which worker gets it is chance, to be drawn many times


@dataclass(frozen=True)
class Server:
    """One that runs: its process, how to make so many clients of it, and its answer to an image file."""

    pid: int
    clients: Callable[[int], Sequence[Worker[Any]]]
    answer: Callable[[bytes], npt.NDArray[Any]]


@dataclass(frozen=True)
class Peer:
    """What to install, and the command after `python` that listens on {port} with {workers} workers."""

    name: str
    packages: tuple[str, ...]
    command: str

    def install(self, folder: Path) -> Path:
        """Make its virtual environment; returns the Python of it."""
        console.print(f"installing {self.name} into a virtual environment of its own")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        python = folder / "bin" / "python"
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        constraints = ["--constraint", HERE.parent / "constraints.txt"]
        subprocess.run([*command, *constraints, *self.packages, *SAME], check=True)
        return python

    def versions(self, python: Path) -> dict[str, str]:
        """Of what was installed for it."""
        names = [package.partition("[")[0] for package in self.packages]
        ask = f"from importlib.metadata import version; print(*map(version, {names}))"
        found = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
        return dict(zip(names, found.stdout.split(), strict=True))


PEERS = (
    Peer(
        "FastAPI",
        ("fastapi", "uvicorn[standard]"),
        "-m uvicorn fastapi_app:app --port {port} --workers {workers} --log-level warning",
    ),
    Peer("LitServe", ("litserve",), "litserve_app.py {port} {workers}"),
)


@contextmanager
def theirs(peer: Peer, python: Path, artifact: Artifact, images: Sequence[bytes]) -> Iterator[Server]:
    """A peer's app on the artifact's graph, with a worker for each processor; its clients send the images."""
    (port,) = free_ports(1)
    command = peer.command.format(port=port, workers=processors()).split()
    with tempfile.TemporaryDirectory(prefix="regard_benchmark_") as folder:
        shutil.copytree(HERE / "peer_apps", folder, dirs_exist_ok=True)
        shutil.copy(preprocess.__file__, folder)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"GRAPH": str(artifact.model), "CONTRACT": artifact.card.input.model_dump_json()}
        process = subprocess.Popen([python, *command], cwd=folder, env=environment, start_new_session=True)
        try:
            _wait(peer, port, process)
            yield Server(
                process.pid,
                lambda count: [Worker(_HttpClient(port).send, images) for _ in range(count)],
                lambda image: np.frombuffer(_HttpClient(port).answer(image), artifact.card.answer.dtype),
            )
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # LitServe leaves what it started
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def ours(artifact: Artifact, images: Sequence[bytes]) -> Iterator[Server]:
    """`regard serve` likewise, with the endpoint for image files alone, since the peers have no other."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regard_benchmark_")))
        add(artifact, folder / "repository", endpoints="image")
        serve = RegardServe(folder / "repository")
        stack.callback(serve.stop)
        connection = connect(address_of(serve.url, "grpc"), Credentials())
        stack.callback(connection.close)
        target = _target(connection, artifact.card.name, images)

        def answer(image: bytes) -> npt.NDArray[Any]:
            arrays = connection.infer(target.request([image]), timeout=STARTING).arrays
            return arrays[artifact.card.answer.tensor]

        yield Server(serve.pid, lambda count: stack.enter_context(workers(target, count)), answer)


class _HttpClient:
    """A client of a peer: one connection at a time, one image file a request."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTING)
        self._renew_at = 0.0

    def answer(self, encoded: bytes) -> bytes:
        """The answer's bytes."""
        if time.monotonic() > self._renew_at:
            self._connection.close()  # the request opens another
            self._renew_at = time.monotonic() + LASTS
        self._connection.request("POST", "/infer", encoded, {"Content-Type": "application/octet-stream"})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise Fault("INTERNAL", f"HTTP status {response.status}")
        return body

    def send(self, encoded: bytes) -> int:
        """The answer's size."""
        return len(self.answer(encoded))


def _target(connection: Connection, name: str, images: Sequence[bytes]) -> Target:
    """Our image endpoint, once it is ready."""
    deadline = time.monotonic() + STARTING
    while True:
        try:
            return find_target(
                connection, name, endpoint="image", batch=1, images=images, shared_memory=False
            )
        except RegardError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _wait(peer: Peer, port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    sys.exit(f"the {peer.name} app did not start; its messages are above")
