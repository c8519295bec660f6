"""The embedded server: NVIDIA's real tritonserver from PyPI, run as a child process on a model repository.

with EmbeddedTriton(Path("model_repository")) as server:
    client = Client(server.grpc_url)
"""

import http.client
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.errors import ServerError
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault
from regard.serving.repository import check_model, check_servable
from regard.serving.repository.engine_choice import Choice, choose
from regard.serving.repository.tensor_bytes import tensor_bytes
from regard.serving.triton import served_now
from regard.serving.triton.canary import first_answer
from regard.serving.triton.control import Check, Judge, ModelControl
from regard.serving.triton.installation import Installation, check_shared_memory, find_installation
from regard.serving.triton.interrupts import interrupted_afterwards
from regard.serving.triton.loader import Loader
from regard.serving.triton.ports import free_ports, held
from regard.serving.triton.residue import environments
from regard.serving.triton.run import STOP_GRACE, Run, launch, reached_at
from regard.serving.triton.stubs import Stubs
from regard.serving.verify.served import fault_of, has_goldens

START_TIMEOUT = 120.0  # seconds; large models on slow disks take their time
LAST_MOMENT = 2.0
ASKED = 2.0  # seconds for what a server that runs says at once


class EndedWhileLoading(ServerError):
    """The server ended or hung while it loaded models; `resume` starts it with what it had loaded before."""


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
        self._run: Run | None = None
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
        return self._running.process.pid

    @property
    def connection(self) -> Connection:
        """A connection that may load and unload; it ends with the server. No proxy leads to it.

        Raises:
            ServerError: it is not running.
        """
        return self._running.loader.connection

    @property
    def log_file(self) -> Path:
        """The server's log: the one that was asked for, or this run's.

        Raises:
            ServerError: it is not running.
        """
        return self._running.log.path

    def bound_log(self) -> None:
        """Keep this run's own log from filling the disk; one that was asked for is its owner's."""
        if self._run is not None and self.log is None:
            self._run.log.bound()

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
        try:
            return self.connection.server(timeout=ASKED)
        except (ServerError, Fault):
            return None

    @property
    def notes(self) -> dict[str, tuple[str, ...]]:
        """How models compute, where that needs a word: an engine that does not fit, a GPU that is not used as
        was asked; by endpoint.
        """
        return {name: notes for name, notes in sorted(self._control.notes.items()) if notes}

    @property
    def alive(self) -> bool:
        """Whether the server's process runs, and that which takes its HTTP."""
        run = self._run
        return run is not None and run.alive

    @property
    def ending(self) -> str | None:
        """What became of the server, as far as it said; None while all of it runs."""
        run = self._run
        return None if run is None else run.ending

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
        before = self._served_now
        try:
            self._control.update(self._running.loader, at_once=at_once)
        finally:
            if self._served_now != before:
                served_now.tell(self.repository, self._served_now)

    def _start(self, load: Callable[[Loader], None], timeout: float) -> None:
        if self._run is not None:
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
                        self._run = launch(
                            self._installation,
                            self.repository,
                            host=self.host,
                            ports=self.ports,
                            inner_port=inner_port,
                            log=self.log,
                        )
                    self._wait_until_ready(timeout)
            self._load(load)
        except BaseException:
            if self._run is not None:
                self._run.note_environments(before)
                self.stop(grace=0)
            raise
        self._running.note_environments(before)
        served_now.tell(self.repository, self._served_now)

    def stop(self, *, grace: float = STOP_GRACE) -> None:
        """Let requests in flight finish and end the server, killing it after `grace` seconds; nothing of it
        stays behind.
        """
        run, self._run = self._run, None
        if run is not None:
            served_now.forget(self.repository)
            run.stop(grace)

    def __enter__(self) -> "EmbeddedTriton":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _url(self, service: str) -> str:
        return f"{reached_at(self.host)}:{self.ports[service]}"

    @property
    def _running(self) -> Run:
        run = self._run  # another thread may ask while this one stops it
        if run is None:
            raise ServerError("the server is not running; call start() first")
        return run

    @cached_property
    def _installation(self) -> Installation:
        return self._find_installation()

    def _load(self, load: Callable[[Loader], None]) -> None:
        running = self._running
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
        deadline = time.monotonic() + timeout
        while not self._ready():
            if self.ending is not None:
                raise ServerError(f"the server {self.ending}")
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the server was not ready after {timeout:g} s: {self._running.log.reason()}"
                )
            time.sleep(0.02)

    def _ready(self) -> bool:
        """Whether it answers over HTTP, and so through its front."""
        connection = http.client.HTTPConnection(self.http_url, timeout=ASKED)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
