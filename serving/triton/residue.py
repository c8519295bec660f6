"""What a Triton server leaves behind when it does not end by itself, and its removal.

Also run as a script, in a process of its own: it waits until its parent has gone and, unless that stopped the
server in good order, ends the server and removes what it left. So even a `kill -9` of `regard serve` leaves
nothing. It needs the standard library alone.
"""

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton makes its regions
ENVIRONMENTS = Path("/tmp")  # noqa: S108 - where Triton makes python_env_*, whatever TMPDIR says
GRACE = 10.0  # seconds between asking a server to end and killing it


@dataclass(frozen=True)
class Residue:
    """What belongs to one server: its process, its shared memory, its folders."""

    pid: int
    shared_memory_prefix: str
    run_folder: str
    environments: tuple[str, ...] = ()

    def remove(self) -> None:
        """End the server's children that outlived it and remove its files; the server must have ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # the server led a process group of its own
        remove_shared_memory(self.shared_memory_prefix)
        for folder in self.environments:
            with suppress(OSError):
                Path(folder).rmdir()  # only if empty, as a server that unpacks no environment leaves it
        shutil.rmtree(self.run_folder, ignore_errors=True)

    def to_line(self) -> str:
        """One line of JSON, for the watching script."""
        return json.dumps(asdict(self)) + "\n"


def remove_shared_memory(prefix: str) -> None:
    """Free a run's regions, and take its keys (keys.py) away."""
    for region in SHARED_MEMORY.glob(prefix + "*"):
        region.unlink(missing_ok=True)


def environments() -> set[str]:
    """The folders that Python backends of running or dead servers have made."""
    return {str(folder) for folder in ENVIRONMENTS.glob("python_env_*")}


def _end(pid: int) -> None:
    """End a process that is no child of this one."""
    for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 5.0)):
        if not _running(pid):
            return
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _running(pid) and time.monotonic() < deadline:
            time.sleep(0.1)


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Read Residue lines until the parent closes the pipe; the last one counts, and an empty line means that
    all is done.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the parent; this script ends with the pipe
    last = ""
    for line in sys.stdin:
        last = line.strip()
    if last:
        residue = Residue(**json.loads(last))
        _end(residue.pid)
        residue.remove()


if __name__ == "__main__":
    main()
