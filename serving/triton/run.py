"""One run of a real Triton server: its processes, from the launch to the last of what they leave."""

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from regard.errors import ServerError
from regard.serving.protocol.address import address_of
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_connection import GrpcConnection
from regard.serving.triton import residue
from regard.serving.triton.backends.files import FILES, copy_backend
from regard.serving.triton.front.process import FrontProcess
from regard.serving.triton.front.settings import Settings
from regard.serving.triton.installation import Installation
from regard.serving.triton.keys import Keys
from regard.serving.triton.loader import Loader
from regard.serving.triton.log import ServerLog
from regard.serving.triton.residue import Residue, environments, remove_shared_memory

# seconds that the server gives requests in flight; an idle HTTP connection would use up the default of 30
EXIT_TIMEOUT = 8
STOP_GRACE = EXIT_TIMEOUT + 4.0
FRONT_HEADER = "regard-front"
FRONT_APIS = "health,metadata,inference,model-config,statistics"  # the others take a key of their own


@dataclass
class Run:
    """The server, the front that takes its HTTP, and the guard that removes the residue where nobody else
    can.

    loader: also holds the connection, which may load and unload, and the log.
    """

    process: subprocess.Popen[bytes]
    front: FrontProcess
    guard: subprocess.Popen[str]
    residue: Residue
    loader: Loader

    @property
    def log(self) -> ServerLog:
        """What the server and its front wrote."""
        return self.loader.log

    @property
    def alive(self) -> bool:
        """Whether the server's process runs, and that which takes its HTTP."""
        return self.process.poll() is None and self.front.alive

    @property
    def ending(self) -> str | None:
        """What became of the server, as far as it said; None while all of it runs."""
        if self.alive:
            return None
        code = self.process.poll()
        return f"has lost its front for HTTP: {self.log.reason()}" if code is None else self.log.ending(code)

    def note_environments(self, before: set[str]) -> None:
        """Count the folders of Python models that are there now, and were not before, among the residue."""
        self.residue = replace(self.residue, environments=tuple(environments() - before))
        _tell(self.guard, self.residue.to_line())

    def stop(self, grace: float) -> None:
        """Let requests in flight finish and end the server, killing it after `grace` seconds; nothing of it
        stays behind.
        """
        self.front.drain()
        try:
            if self.process.poll() is None and grace > 0:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            pass  # killed below
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.front.stop()
            self.loader.connection.close()
            self.residue.remove()
            _tell(self.guard, "\n")  # nothing left to do
            self.guard.communicate()


def launch(
    installation: Installation,
    repository: Path,
    *,
    host: str,
    ports: Mapping[str, int],
    inner_port: int,
    log: Path | None,
) -> Run:
    """Start all processes; the server is not ready yet.

    Args:
        installation: the server's files.
        repository: the model repository.
        host: the address to listen on.
        ports: for "HTTP", "gRPC" and "metrics".
        inner_port: of Triton's own HTTP on 127.0.0.1, behind the front.
        log: as of EmbeddedTriton.

    Raises:
        ServerError: one of them cannot be started; then nothing is left.
    """
    address = address_of(f"{reached_at(host)}:{ports['gRPC']}", "grpc")
    folder = Path(tempfile.mkdtemp(prefix="regard_triton_"))
    prefix = f"regard_{uuid.uuid4().hex[:12]}_"
    keys = Keys(host)
    front = Settings(host, ports["HTTP"], f"127.0.0.1:{inner_port}", FRONT_HEADER, secrets.token_hex())
    with ExitStack() as undo:  # of what has begun, where an error comes before the end
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        undo.callback(remove_shared_memory, prefix)
        try:
            backends = _backends(folder, installation)
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", residue.__file__],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            undo.callback(guard.communicate)
            keys.leave([ports["HTTP"], ports["gRPC"]], prefix=prefix)
            log = log or folder / "server.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as stream:
                start = stream.tell()
                front_process = FrontProcess(front, stream)
                undo.callback(front_process.stop)
                process = subprocess.Popen(
                    [
                        installation.binary,
                        f"--model-repository={repository.resolve()}",
                        f"--backend-directory={backends}",
                        f"--cache-directory={installation.root / 'caches'}",
                        f"--backend-config=python,shm-region-prefix-name={prefix}",
                        *_options(host, ports, front, keys),
                    ],
                    # what models leave there goes with the run
                    env=installation.environment() | {"TMPDIR": str(folder)},
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
        undo.pop_all()
        return Run(process, front_process, guard, left, Loader(connection, ServerLog(log, start)))


def reached_at(host: str) -> str:
    """Where this machine finds what listens on `host`."""
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104


def _options(host: str, ports: Mapping[str, int], front: Settings, keys: Keys) -> list[str]:
    places = {service: (host, str(port)) for service, port in ports.items()}
    inner_host, _, inner_port = front.upstream.partition(":")
    places["HTTP"] = inner_host, inner_port
    return [
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
        *(f"--{service.lower()}-address={host}" for service, (host, _) in places.items()),
        *(f"--{service.lower()}-port={port}" for service, (_, port) in places.items()),
    ]


def _backends(folder: Path, installation: Installation) -> Path:
    """The backend directory: the server's, or one of the run, of copies, since it refuses links out of it."""
    theirs = installation.root / "backends"
    if installation.whole_backends:
        return theirs
    ours = folder / "backends"
    python = ours / "python"
    python.mkdir(parents=True)
    for file in (*(theirs / "python").glob("*.so"), *(theirs / "python").glob("*.py"), installation.stub):
        shutil.copy(file, python)
    for backend in FILES:
        copy_backend(backend, ours)
    return ours


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _tell(guard: subprocess.Popen[str], line: str) -> None:
    assert guard.stdin is not None
    with suppress(BrokenPipeError):  # it was killed; the server runs on without it
        guard.stdin.write(line)
        guard.stdin.flush()
