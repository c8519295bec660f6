"""`regard serve` as a process of its own, as its users run it."""

import subprocess
import sys
from pathlib import Path

from regard.serving.triton.ports import free_ports

SERVE = "from regard.serving.cli.app import main; main()"


class RegardServe:
    """`regard serve` on a repository, always on the same ports.

    options: of the command.
    """

    def __init__(self, repository: Path, *options: str) -> None:
        http, grpc, metrics = free_ports(3)
        self.url = f"127.0.0.1:{grpc}"
        self._command: list[str | Path] = [sys.executable, "-c", SERVE, "serve", *options]
        self._command += ["--repository", repository, "--log", repository.with_suffix(".log")]
        self._command += [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
        self.start()

    @property
    def pid(self) -> int:
        """The command's process, which starts all others."""
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()
