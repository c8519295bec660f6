"""`python -m regard.serving.deploy.supervised` as a process, on free ports, and what it tells."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from regard.serving.triton.ports import free_ports

ROOT = Path(__file__).parents[3]
LONG = 90.0  # seconds, for what takes a few


class Supervised:
    """One that runs: its ports, its pages and the events that it has told so far."""

    def __init__(self, process: "subprocess.Popen[str]", ports: list[int]) -> None:
        self.process = process
        self.http, self.grpc, self.metrics_port, self.status_port = ports
        self.events: list[str] = []
        self._reader = Thread(target=self._read)
        self._reader.start()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.page("/status")[1])
        return found

    def metric(self, name: str, **labels: str) -> float | None:
        """A sample of /metrics; None where there is none."""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(f"{name}{{") and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                return float(line.rpartition(" ")[2])
        return None

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def when(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status of which this is true."""
        deadline = time.monotonic() + LONG
        status: dict[str, Any] = {}
        while True:
            assert self.process.poll() is None, self.events
            assert time.monotonic() < deadline, (status, self.events)
            try:
                status = self.status()
                if true(status):
                    return status
            except OSError:
                pass  # it does not listen yet
            time.sleep(0.05)

    def is_(self, state: str, source: str | None = "repository") -> dict[str, Any]:
        """The first status in a state, on a source."""
        return self.when(lambda status: (status["state"], status["source"]) == (state, source))

    def ended(self) -> int:
        """Its exit status, when it has ended by itself or been told to."""
        code = self.process.wait(LONG)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            assert event.keys() == {"time", "colour", "event"}
            self.events.append(event["event"])


@contextmanager
def supervised(deployment: Path, repository: Path, *options: str, **environment: str) -> Iterator[Supervised]:
    """Start one as colour "a"; at the end it is told to end, and must have left nothing in its TMPDIR."""
    ports = free_ports(4)
    names = ("http", "grpc", "metrics", "status")
    given = [f"--{name}-port={port}" for name, port in zip(names, ports, strict=True)]
    temporary = deployment / "tmp"
    temporary.mkdir(parents=True)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "regard.serving.deploy.supervised", "--colour=a", "--canary=1"),
            *(f"--deployment={deployment}", f"--repository={repository}", *given, *options),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(temporary)} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Supervised(process, ports)
    try:
        yield running
    finally:
        process.terminate()
        running.ended()
    assert not list(temporary.iterdir())
