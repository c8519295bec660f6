"""The deployment without Docker: the gateway before the supervised servers of both colours, all as
processes on loopback.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.serving.deploy.local_gateway import Edit, Gateway, Ports, running_gateway
from tests.serving.deploy.waiting import end, wait_until

from regard.serving.deploy.colours import COLOURS


@dataclass(frozen=True)
class LocalStack:
    """Both colours and the gateway. colours: their processes, which a test may end."""

    gateway: Gateway
    colours: Mapping[str, "subprocess.Popen[bytes]"]
    ports: Mapping[str, Ports]
    deployment: Path
    repository: Path

    def status(self, colour: str) -> dict[str, Any]:
        """What its supervisor says of itself."""
        with urlopen(f"http://127.0.0.1:{self.ports[colour].status}/status", timeout=5) as answer:
            said: dict[str, Any] = json.load(answer)
        return said


@contextmanager
def local_stack(
    repository: Path, folder: Path, *, deployment: Path | None = None, edit: Edit = lambda text: text
) -> Iterator[LocalStack]:
    """Run a deployment of a model repository.

    Args:
        folder: for keys, configurations and logs.
        deployment: its folder, with colours.json where that is not the default; by default a new one.
        edit: see `running_gateway`.
    """
    deployment = deployment or folder / "deployment"
    (deployment / "routing").mkdir(parents=True, exist_ok=True)
    ports = {colour: Ports.free() for colour in COLOURS}
    logs = {colour: folder / f"triton-{colour}.log" for colour in COLOURS}
    with ExitStack() as stack:
        processes = {
            colour: stack.enter_context(
                supervised(colour, deployment, repository, ports[colour], logs[colour])
            )
            for colour in COLOURS
        }
        gateway = stack.enter_context(running_gateway(ports, folder, deployment=deployment, edit=edit))
        for colour, process in processes.items():
            wait_until(partial(healthy, ports[colour]), process, logs[colour])
        try:
            yield LocalStack(gateway, processes, ports, deployment, repository)
        finally:
            for process in processes.values():  # both at once; each takes seconds
                process.terminate()


@contextmanager
def supervised(
    colour: str, deployment: Path, repository: Path, ports: Ports, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process of one colour; it may not be ready yet."""
    program = [sys.executable, "-m", "regard.serving.deploy.supervised", f"--colour={colour}"]
    places = [f"--deployment={deployment}", f"--repository={repository}"]
    services = ("http", "grpc", "metrics", "status")
    options = [f"--{service}-port={getattr(ports, service)}" for service in services]
    with (
        log.open("ab") as output,
        subprocess.Popen([*program, *places, *options], stdout=output, stderr=output) as process,
    ):
        try:
            yield process
        finally:
            end(process)


def healthy(ports: Ports) -> bool:
    """Whether the colour serves, or is idle on purpose."""
    try:
        with urlopen(f"http://127.0.0.1:{ports.status}/health", timeout=5):
            return True
    except OSError:
        return False
