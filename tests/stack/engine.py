"""A Docker engine of the tests' own: Debian's dockerd in namespaces of its own, so that it changes none of
the machine's network rules, links and mounts, and no process outlives it, however it ends.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

READY = 60  # seconds; it takes one or two on a quiet machine
STOP = 90  # seconds; containers that do not end at a signal are given ten each, at the same time
PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-init": "tini",
    "iptables": "iptables",
    "unshare": "util-linux",
    "ip": "iproute2",
    "promtool": "prometheus",
}
CLONE_NEWNET = 0x40000000


class EngineError(Exception):
    """The engine cannot be used: why, and what to do."""


class Network(Enum):
    """What the engine's containers reach.

    OWN: a network namespace of the engine's own, with Docker's bridges and rules, and no way out.
    HOST: builds with `--network host` reach what this machine reaches; no bridge, no rule.
    """

    OWN = ("--net",), ()
    HOST = (), ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")

    @property
    def namespaces(self) -> tuple[str, ...]:
        return self.value[0]

    @property
    def options(self) -> tuple[str, ...]:
        return self.value[1]


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        socket: where it listens.
        first: the pid, on this machine, of the first process of its namespaces.
    """

    socket: Path
    first: int

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's, with the engine as the one that clients ask."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**others, "DOCKER_HOST": f"unix://{self.socket}"}

    def docker(self, *arguments: str | Path, timeout: float = 60, **variables: str) -> str:
        """What Debian's `docker` prints."""
        return command(
            find("docker"), *arguments, environment={**self.environment, **variables}, timeout=timeout
        )

    @contextmanager
    def network(self) -> Iterator[None]:
        """This thread, and the threads and processes that it starts, are in the engine's network."""
        with _namespace("thread-self") as ours, _namespace(str(self.first)) as its:
            _enter(its.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())


def cache() -> Path:
    """The folder that keeps images from run to run: $REGARD_STACK_CACHE, or one of the user's."""
    named = os.environ.get("REGARD_STACK_CACHE")
    return Path(
        named or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "regard" / "stack"
    ).absolute()


@contextmanager
def engine(folder: Path, network: Network) -> Iterator[Engine]:
    """An engine with its images in a folder, and without the containers of an earlier run.

    Raises:
        EngineError: it is not installed, may not run, is in use or did not start.
    """
    programs = [str(find(name)) for name in ("unshare", "docker-init", "dockerd")]
    if os.geteuid() != 0:
        raise EngineError("the stack's tests start a Docker engine, which needs root: sudo make test-stack")
    folder.mkdir(parents=True, exist_ok=True)
    # a socket's path has at most 108 characters, hence not in that folder
    with _alone(folder), tempfile.TemporaryDirectory(prefix="regard-stack-") as run:
        socket, log = Path(run) / "docker.sock", Path(run) / "log"
        unshare, init, dockerd = programs
        options = (
            f"--data-root={folder / 'engine'}",
            f"--exec-root={run}/exec",
            f"--pidfile={run}/pid",
            f"--host=unix://{socket}",
            *network.options,
        )
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    *(
                        unshare,
                        *network.namespaces,
                        "--mount",
                        "--pid",
                        "--fork",
                        "--kill-child",
                        "--mount-proc",
                    ),
                    *(init, "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", dockerd, *options),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the tests, which then stop it
            )
        try:
            yield _ready(process, socket, log)
        finally:
            _stop(process)


def find(program: str) -> Path:
    """A program of Debian's packages, rather than another of that name in /usr/local.

    Raises:
        EngineError: it is not installed.
    """
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") or shutil.which(program)
    if found is None:
        package = PACKAGES.get(program, program)
        raise EngineError(f"{program} is not installed: apt-get install -y --no-install-recommends {package}")
    return Path(found)


def command(*arguments: str | Path, environment: Mapping[str, str] = os.environ, timeout: float = 600) -> str:
    """What a command prints.

    Raises:
        EngineError: it fails; with what it said.
    """
    finished = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    if finished.returncode:
        said = (finished.stdout + finished.stderr)[-8000:]
        raise EngineError(f"{' '.join(map(str, arguments))} ended with {finished.returncode}:\n{said}")
    return finished.stdout


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(
                f"another run uses {folder}; wait for it, or name another folder in REGARD_STACK_CACHE"
            ) from None
        yield


def _ready(process: subprocess.Popen[bytes], socket: Path, log: Path) -> Engine:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        first = _child(process.pid)
        if first is not None and socket.exists():
            found = Engine(socket, first)
            if _answers(found):
                _clear(found)
                return found
        time.sleep(0.1)
    said = "\n".join(log.read_text().splitlines()[-20:])
    what = f"did not answer within {READY} s" if process.poll() is None else "ended"
    raise EngineError(f"dockerd {what}; the end of its log:\n{said}")


def _answers(found: Engine) -> bool:
    with suppress(EngineError):
        found.docker("version")
        return True
    return False


def _clear(found: Engine) -> None:
    """Remove what a run that was killed has left."""
    if containers := found.docker("ps", "--all", "--quiet").split():
        found.docker("rm", "--force", "--volumes", *containers)
    found.docker("network", "prune", "--force")
    found.docker("volume", "prune", "--force")


def _stop(process: subprocess.Popen[bytes]) -> None:
    first = _child(process.pid)
    if first is not None:
        os.kill(first, signal.SIGTERM)  # it passes the signal on to dockerd
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()  # and with it, by --kill-child, all of its namespace
        process.wait()
        print(f"dockerd did not end within {STOP} s and was killed", file=sys.stderr)


def _child(pid: int) -> int | None:
    with suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def _namespace(process: str) -> IO[str]:
    return Path(f"/proc/{process}/ns/net").open()


def _enter(namespace: int) -> None:
    # Python has os.setns from 3.12 on
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
