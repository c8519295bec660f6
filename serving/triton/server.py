"""The embedded server: NVIDIA's real tritonserver from PyPI, run as a child process on a model repository.

with EmbeddedTriton(Path("model_repository")) as server:
    client = Client(server.grpc_url)
"""

import http.client
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.errors import ServerError
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_connection import GrpcConnection
from regard.serving.protocol.wire import Fault
from regard.serving.repository import check_model, check_servable
from regard.serving.repository.engine_choice import Choice, choose
from regard.serving.repository.tensor_bytes import tensor_bytes
from regard.serving.triton import residue, served_now
from regard.serving.triton.backends.files import FILES, copy_backend
from regard.serving.triton.canary import first_answer
from regard.serving.triton.control import Check, Judge, ModelControl
from regard.serving.triton.front.process import FrontProcess
from regard.serving.triton.front.settings import Settings
from regard.serving.triton.installation import Installation, check_shared_memory, find_installation
from regard.serving.triton.interrupts import interrupted_afterwards
from regard.serving.triton.keys import Keys
from regard.serving.triton.loader import Loader
from regard.serving.triton.log import ServerLog
from regard.serving.triton.ports import free_ports, held
from regard.serving.triton.residue import Residue, environments, remove_shared_memory
from regard.serving.triton.stubs import Stubs
from regard.serving.verify.served import fault_of, has_goldens

START_TIMEOUT = 120.0  # seconds; large models on slow disks take their time
# seconds that the server gives requests in flight; an idle HTTP connection would use up the default of 30
EXIT_TIMEOUT = 8
LAST_MOMENT = 2.0
FRONT_HEADER = "regard-front"
FRONT_APIS = "health,metadata,inference,model-config,statistics"  # the others take a key of their own


class EndedWhileLoading(ServerError):
    """The server ended or hung while it loaded models; `resume` starts it with what it had loaded before."""


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    front: FrontProcess
    guard: subprocess.Popen[str]
    residue: Residue
    log: ServerLog
    loader: Loader


class EmbeddedTriton:
    """A real Triton server on a model repository; a context manager that starts and stops it.

    Args:
        repository: the model repository.
        host: the address to listen on; 0.0.0.0 for every interface.
        http_port: for HTTP.
        grpc_port: for gRPC.
        metrics_port: for Prometheus.
        watch: models and versions may come and go while it runs: it may start without any, and a Supervisor
            calls `update` again and again.
        strict: a model that is refused is an error; otherwise it is reported, and the others are served.
        check: see `regard.serving.triton.control.ModelControl`.
        judge: likewise; by default a first inference on what has a Card.
        report: told in a line what was loaded, refused and unloaded.
        log: a file that the server's log is appended to; None keeps it only until the server stops.
        installation: finds the server's files.
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
        strict: bool = True,
        check: Check = check_model,
        judge: Judge | None = None,
        report: Callable[[str], None] = lambda line: None,
        log: Path | None = None,
        installation: Callable[[], Installation] = find_installation,
    ) -> None:
        self.repository = repository
        self.host = host
        self.ports = {"HTTP": http_port, "gRPC": grpc_port, "metrics": metrics_port}
        self.watch = watch
        self.log = log
        self._find_installation = installation
        self._running: _Running | None = None
        self._stubs = Stubs()
        self._new_control = partial(
            ModelControl,
            repository,
            check=check,
            judge=judge or self._judge,
            choose=self._choose,
            report=report,
            strict=strict,
        )
        self._control = self._new_control()
        self._goldens: dict[tuple[str, int], bool] = {}

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
    def connection(self) -> Connection:
        """A connection that may load and unload; it ends with the server. No proxy leads to it.

        Raises:
            ServerError: it is not running.
        """
        if self._running is None:
            raise ServerError("the server is not running; call start() first")
        return self._running.loader.connection

    @property
    def log_file(self) -> Path:
        """The server's log: the one that was asked for, or this run's.

        Raises:
            ServerError: it is not running.
        """
        if self._running is None:
            raise ServerError("the server is not running; call start() first")
        return self._running.log.path

    def bound_log(self) -> None:
        """Keep this run's own log from filling the disk; one that was asked for is its owner's."""
        if self._running is not None and self.log is None:
            self._running.log.bound()

    @property
    def served(self) -> dict[str, tuple[int, ...]]:
        """The models that are served, image endpoints and other parts included, each with its versions."""
        return {name: loaded.versions for name, loaded in sorted(self._control.served.items())}

    @property
    def refused(self) -> dict[str, str]:
        """Why what the repository holds of a model is not served, or not all of it."""
        return dict(sorted(self._control.refused.items()))

    @property
    def goldens(self) -> dict[tuple[str, int], bool]:
        """By model and version, whether it answered its goldens when it was loaded; those that have some."""
        known = self.served.keys() | self.refused.keys()
        return {about: kept for about, kept in sorted(self._goldens.items()) if about[0] in known}

    @property
    def version(self) -> str | None:
        """Triton's own, such as "2.51.0"; None where it does not answer."""
        answer = self._get("/v2")
        return None if answer is None else str(json.loads(answer)["version"])

    @property
    def notes(self) -> dict[str, tuple[str, ...]]:
        """How models compute, where that needs a word: an engine that does not fit, a GPU that is not used as
        was asked; by endpoint.
        """
        return {name: notes for name, notes in sorted(self._control.notes.items()) if notes}

    @property
    def alive(self) -> bool:
        """Whether the server's process runs, and that which takes its HTTP."""
        running = self._running
        return running is not None and running.process.poll() is None and running.front.alive

    @property
    def ending(self) -> str | None:
        """What became of the server, as far as it said; None while all of it runs."""
        if self._running is None or self.alive:
            return None
        code, log = self._running.process.poll(), self._running.log
        return f"has lost its front for HTTP: {log.reason()}" if code is None else log.ending(code)

    def dead_stubs(self) -> dict[int, str]:
        """Processes of models that were killed or crashed, each with its model, which the server goes on
        calling ready.
        """
        return self._stubs.dead(self.pid) if self.alive else {}

    @property
    def _served_now(self) -> served_now.ServedNow:
        return served_now.ServedNow(
            watches=self.watch, served=self.served, refused=self.refused, notes=self.notes
        )

    def start(self, *, timeout: float = START_TIMEOUT) -> None:
        """Start the server and return when the models are ready.

        Args:
            timeout: seconds until the server answers; loading takes as long as it does.

        Raises:
            ServerError: it cannot run here, a port is taken, the server takes too long, a model is refused
                (if `strict`), or all are.
            InvalidInput: the repository is not one, or holds no model.
        """
        self._control = self._new_control()
        self._goldens.clear()
        self._start(lambda loader: self._control.update(loader, at_once=True), timeout)

    def resume(self, *, timeout: float = START_TIMEOUT) -> None:
        """Start a server that was stopped again, with the versions that it served; what was refused stays so.

        Raises:
            ServerError, InvalidInput: as of `start`.
        """
        self._start(self._control.restore, timeout)

    def update(self, *, at_once: bool = False) -> None:
        """Load, judge and unload what has changed in the repository.

        Args:
            at_once: act on what is there now; otherwise only on what was the same at the last call, since a
                model may be in the middle of being copied.

        Raises:
            ServerError: a refusal (if `strict`), or the server is not running.
            Fault: it does not answer.
        """
        if self._running is None:
            raise ServerError("the server is not running; call start() first")
        before = self._served_now
        try:
            self._control.update(self._running.loader, at_once=at_once)
        finally:
            if self._served_now != before:
                served_now.tell(self.repository, self._served_now)

    def _start(self, load: Callable[[Loader], None], timeout: float) -> None:
        if self._running is not None:
            raise ServerError(f"the server is already running (pid {self.pid}); stop() it first")
        check_servable(self.repository, may_be_empty=self.watch)
        _ = self._installation  # or why there is none
        check_shared_memory(tensor_bytes(self.repository))
        before = environments()
        try:
            with held(self.host, self.ports):
                (inner_port,) = free_ports(1)  # of Triton's HTTP, behind the front
                with held("127.0.0.1", {"HTTP behind its front": inner_port}):
                    with interrupted_afterwards():  # else a server that has begun would be nobody's
                        self._running = self._launch(inner_port)
                    self._wait_until_ready(timeout)
            self._load(load)
        except BaseException:
            if self._running is not None:
                self._note_environments(before)
                self.stop(grace=0)
            raise
        self._note_environments(before)
        served_now.tell(self.repository, self._served_now)

    def stop(self, *, grace: float = EXIT_TIMEOUT + 4.0) -> None:
        """Let requests in flight finish and end the server, killing it after `grace` seconds; nothing of it
        stays behind.
        """
        running, self._running = self._running, None
        if running is None:
            return
        served_now.forget(self.repository)
        running.front.drain()
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
            running.front.stop()
            running.loader.connection.close()
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

    @cached_property
    def _installation(self) -> Installation:
        return self._find_installation()

    def _launch(self, inner_port: int) -> _Running:
        address = address_of(self.grpc_url, "grpc")
        folder = Path(tempfile.mkdtemp(prefix="regard_triton_"))
        prefix = f"regard_{uuid.uuid4().hex[:12]}_"
        keys = Keys(self.host)
        front = Settings(
            self.host, self.ports["HTTP"], f"127.0.0.1:{inner_port}", FRONT_HEADER, secrets.token_hex()
        )
        with ExitStack() as undo:  # of what has begun, where an error comes before the end
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            undo.callback(remove_shared_memory, prefix)
            try:
                backends = _backends(folder, self._installation)
                guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", residue.__file__],
                    stdin=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                undo.callback(guard.communicate)
                keys.leave([self.ports["HTTP"], self.ports["gRPC"]], prefix=prefix)
                log = self.log or folder / "server.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("ab") as stream:
                    start = stream.tell()
                    front_process = FrontProcess(front, stream)
                    undo.callback(front_process.stop)
                    process = subprocess.Popen(
                        self._command(backends, prefix, keys, front),
                        # what models leave there goes with the run
                        env=self._installation.environment() | {"TMPDIR": str(folder)},
                        stdin=subprocess.DEVNULL,
                        stdout=stream,
                        stderr=subprocess.STDOUT,
                        # a Ctrl-C in the terminal reaches regard alone, which then stops the server
                        start_new_session=True,
                    )
                    undo.callback(_kill, process)
            except OSError as error:
                raise ServerError(f"cannot start the server: {error}") from None
            left = Residue(process.pid, prefix, str(folder))
            _tell(guard, left.to_line())
            # it is this machine's, whatever address it listens on: no proxy leads to it
            connection = GrpcConnection(address, Credentials(headers=keys.headers), proxy=None)
            loader = Loader(connection, ServerLog(log, start))
            undo.pop_all()
            return _Running(process, front_process, guard, left, loader.log, loader)

    def _command(self, backends: Path, prefix: str, keys: Keys, front: Settings) -> list[str | Path]:
        places = {service: (self.host, str(port)) for service, port in self.ports.items()}
        inner_host, _, inner_port = front.upstream.partition(":")
        places["HTTP"] = inner_host, inner_port
        addresses = [f"--{service.lower()}-address={host}" for service, (host, _) in places.items()]
        ports = [f"--{service.lower()}-port={port}" for service, (_, port) in places.items()]
        return [
            self._installation.binary,
            f"--model-repository={self.repository.resolve()}",
            f"--backend-directory={backends}",
            f"--cache-directory={self._installation.root / 'caches'}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            f"--exit-timeout-secs={EXIT_TIMEOUT}",
            # ours are complete; guessing would start every Python model twice
            "--disable-auto-complete-config",
            "--model-control-mode=explicit",
            *keys.options(),
            # what passes the front alone reaches Triton's HTTP
            f"--http-restricted-api={FRONT_APIS}:{FRONT_HEADER}={front.key}",
            # one broken model is no reason to send no requests to the others
            "--strict-readiness=false",
            "--metrics-config=summary_latencies=true",  # quantiles, beside the sums
            *addresses,
            *ports,
        ]

    def _load(self, load: Callable[[Loader], None]) -> None:
        running = self._running
        assert running is not None
        try:
            load(running.loader)
        except Fault as fault:
            with suppress(subprocess.TimeoutExpired):  # it closes its connections a moment before it ends
                running.process.wait(timeout=LAST_MOMENT)
            ending = self.ending or f"does not answer any more ({fault.message})"
            raise EndedWhileLoading(f"the server {ending}") from None
        if not self._control.served and not self.watch:
            reasons = (f"model {name!r}: {reason}" for name, reason in sorted(self._control.refused.items()))
            raise ServerError(f"no model of {self.repository} can be served: {'; '.join(reasons)}")

    def _judge(self, model: str, versions: tuple[int, ...]) -> str | None:
        """By its goldens, where it has some; else by whether it answers at all."""
        try:
            if has_goldens(self.repository, model, versions):
                for version in versions:
                    fault = fault_of(self.connection, self.repository, model, [version])
                    self._goldens[model, version] = fault is None
                    if fault is not None:
                        return fault
                return None
            return first_answer(self.connection, model, versions)
        except Fault as fault:
            if not fault.answered:
                raise
            return fault.message

    def _choose(self, model: Path, config: ModelConfig, versions: tuple[int, ...]) -> Choice:
        return choose(model, config, versions, self._installation.server)

    def _wait_until_ready(self, timeout: float) -> None:
        running = self._running
        assert running is not None
        deadline = time.monotonic() + timeout
        while not self._ready():
            if self.ending is not None:
                raise ServerError(f"the server {self.ending}")
            if time.monotonic() > deadline:
                raise ServerError(f"the server was not ready after {timeout:g} s: {running.log.reason()}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        return self._get("/v2/health/ready") is not None

    def _get(self, path: str) -> bytes | None:
        """The body of an answer 200 over HTTP."""
        connection = http.client.HTTPConnection(self.http_url, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _note_environments(self, before: set[str]) -> None:
        assert self._running is not None
        noted = replace(self._running.residue, environments=tuple(environments() - before))
        self._running = replace(self._running, residue=noted)
        _tell(self._running.guard, noted.to_line())


def _backends(run: Path, installation: Installation) -> Path:
    """The backend directory: the server's, or one of the run, of copies, since it refuses links out of it."""
    theirs = installation.root / "backends"
    if installation.whole_backends:
        return theirs
    folder = run / "backends"
    python = folder / "python"
    python.mkdir(parents=True)
    for file in (*(theirs / "python").glob("*.so"), *(theirs / "python").glob("*.py"), installation.stub):
        shutil.copy(file, python)
    for backend in FILES:
        copy_backend(backend, folder)
    return folder


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _tell(guard: subprocess.Popen[str], line: str) -> None:
    assert guard.stdin is not None
    with suppress(BrokenPipeError):  # it was killed; the server runs on without it
        guard.stdin.write(line)
        guard.stdin.flush()
