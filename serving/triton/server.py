"""The embedded server: NVIDIA's real tritonserver from PyPI, run as a child process on a model repository.

with EmbeddedTriton(Path("model_repository")) as server:
    client = Client(server.grpc_url)
"""

import http.client
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from regard.errors import ServerError
from regard.serving.repository import check_servable
from regard.serving.triton import residue
from regard.serving.triton.backends.files import FILES
from regard.serving.triton.installation import Installation, check_shared_memory, find_installation
from regard.serving.triton.log import ServerLog
from regard.serving.triton.ports import check_free
from regard.serving.triton.residue import Residue, environments

START_TIMEOUT = 120.0  # seconds; large models on slow disks take their time
# seconds that the server gives requests in flight; an idle HTTP connection would use up the default of 30
EXIT_TIMEOUT = 8


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    guard: subprocess.Popen[str]
    residue: Residue
    log: ServerLog


class EmbeddedTriton:
    """A real Triton server on a model repository; a context manager that starts and stops it.

    Args:
        repository: the model repository.
        host: the address to listen on; 0.0.0.0 for every interface.
        http_port: for HTTP.
        grpc_port: for gRPC.
        metrics_port: for Prometheus.
        watch: pick up models and versions that are added to or removed from the repository, without dropping
            a request.
        log: a file that the server's log is appended to; None keeps it only until the server stops.
    """

    def __init__(
        self,
        repository: Path,
        *,
        host: str = "127.0.0.1",
        http_port: int = 8000,
        grpc_port: int = 8001,
        metrics_port: int = 8002,
        watch: bool = False,
        log: Path | None = None,
    ) -> None:
        self.repository = repository
        self.host = host
        self.ports = {"HTTP": http_port, "gRPC": grpc_port, "metrics": metrics_port}
        self.watch = watch
        self.log = log
        self._running: _Running | None = None

    @property
    def http_url(self) -> str:
        """Host and port, without a scheme."""
        return self._url("HTTP")

    @property
    def grpc_url(self) -> str:
        """Host and port, without a scheme."""
        return self._url("gRPC")

    @property
    def metrics_url(self) -> str:
        """Host and port, without a scheme; the path is /metrics."""
        return self._url("metrics")

    @property
    def pid(self) -> int:
        """The server's process.

        Raises:
            ServerError: it is not running.
        """
        if self._running is None:
            raise ServerError("the server is not running; call start() first")
        return self._running.process.pid

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._running is not None and self._running.process.poll() is None

    def dead_stubs(self) -> list[int]:
        """Processes of models that were killed or crashed; the server goes on calling those models ready.

        The server collects its children when it unloads them; one that died by itself stays a zombie.
        """
        return [child for child, state in _children(self.pid) if state == "Z"] if self.alive else []

    def start(self, *, timeout: float = START_TIMEOUT) -> None:
        """Start the server and return when every model is ready.

        Raises:
            ServerError: it cannot run here, a port is taken, a model does not load, or it takes longer than
                `timeout` seconds.
            InvalidInput: the repository is not one, or holds no model.
        """
        if self._running is not None:
            raise ServerError(f"the server is already running (pid {self.pid}); stop() it first")
        check_servable(self.repository, may_be_empty=self.watch)
        installation = find_installation()
        check_shared_memory()
        check_free(self.host, self.ports)
        before = environments()
        self._running = self._launch(installation)
        try:
            self._wait_until_ready(timeout)
        except BaseException:
            self._note_environments(before)
            self.stop(grace=0)
            raise
        self._note_environments(before)

    def stop(self, *, grace: float = EXIT_TIMEOUT + 4.0) -> None:
        """Let requests in flight finish and end the server, killing it after `grace` seconds; nothing of it
        stays behind.
        """
        running, self._running = self._running, None
        if running is None:
            return
        try:
            if running.process.poll() is None and grace > 0:
                running.process.send_signal(signal.SIGTERM)
                running.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            pass  # killed below
        finally:
            if running.process.poll() is None:
                running.process.kill()
            running.process.wait()
            running.residue.remove()
            _tell(running.guard, "\n")  # nothing left to do
            running.guard.communicate()

    def __enter__(self) -> "EmbeddedTriton":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _url(self, service: str) -> str:
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104
        return f"{host}:{self.ports[service]}"

    def _launch(self, installation: Installation) -> _Running:
        folder = Path(tempfile.mkdtemp(prefix="regard_triton_"))
        prefix = f"regard_{uuid.uuid4().hex[:12]}_"
        guard = None
        try:
            _fill_backends(folder / "backends", installation)
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", residue.__file__],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            log = self.log or folder / "server.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as stream:
                start = stream.tell()
                process = subprocess.Popen(
                    self._command(installation, folder / "backends", prefix),
                    # what models leave there goes with the run
                    env=installation.environment() | {"TMPDIR": str(folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    # a Ctrl-C in the terminal reaches regard alone, which then stops the server
                    start_new_session=True,
                )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if guard is not None:
                guard.communicate()
            raise ServerError(f"cannot start the server: {error}") from None
        left = Residue(process.pid, prefix, str(folder))
        _tell(guard, left.to_line())
        return _Running(process, guard, left, ServerLog(log, start))

    def _command(self, installation: Installation, backend_folder: Path, prefix: str) -> list[str | Path]:
        addresses = [f"--{service.lower()}-address={self.host}" for service in self.ports]
        ports = [f"--{service.lower()}-port={port}" for service, port in self.ports.items()]
        control = ["--model-control-mode=poll", "--repository-poll-secs=1"] if self.watch else []
        return [
            installation.binary,
            f"--model-repository={self.repository.resolve()}",
            f"--backend-directory={backend_folder}",
            f"--cache-directory={installation.root / 'caches'}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            f"--exit-timeout-secs={EXIT_TIMEOUT}",
            # ours are complete; guessing would start every Python model twice
            "--disable-auto-complete-config",
            *addresses,
            *ports,
            *control,
        ]

    def _wait_until_ready(self, timeout: float) -> None:
        running = self._running
        assert running is not None
        deadline = time.monotonic() + timeout
        while not self._ready():
            if running.process.poll() is not None:
                raise ServerError(
                    f"the server ended with code {running.process.returncode}: {running.log.reason()}"
                )
            if time.monotonic() > deadline:
                raise ServerError(f"the server was not ready after {timeout:g} s: {running.log.reason()}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self.http_url, timeout=2)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _note_environments(self, before: set[str]) -> None:
        assert self._running is not None
        noted = replace(self._running.residue, environments=tuple(environments() - before))
        self._running = replace(self._running, residue=noted)
        _tell(self._running.guard, noted.to_line())


def _children(pid: int) -> Iterator[tuple[int, str]]:
    """The children of a process, each with the letter of its state."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name, which may hold anything) state parent ...
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # ended meanwhile
        if int(parent) == pid:
            yield int(stat.parent.name), state


def _fill_backends(folder: Path, installation: Installation) -> None:
    """Make the private backend directory: copies, since the server refuses links that lead out of it."""
    python = folder / "python"
    python.mkdir(parents=True)
    for file in (
        *(installation.root / "backends" / "python").glob("*.so"),
        *(installation.root / "backends" / "python").glob("*.py"),
    ):
        shutil.copy(file, python)
    shutil.copy(installation.stub, python)
    for backend, files in FILES.items():
        (folder / backend).mkdir()
        for file in files:
            shutil.copy(file, folder / backend)


def _tell(guard: subprocess.Popen[str], line: str) -> None:
    assert guard.stdin is not None
    with suppress(BrokenPipeError):  # it was killed; the server runs on without it
        guard.stdin.write(line)
        guard.stdin.flush()
