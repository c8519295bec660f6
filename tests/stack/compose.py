"""docker-compose.yml brought up by Docker Compose itself, on an engine of the tests' own."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tests.stack.engine import Engine, EngineError
from tests.stack.waiting import until

from regard.serving.repository.releases import RELEASE

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "docker-compose.dev.yml", "docker-compose.gpu.yml", ".env")
FOLDERS = ("docker", "deployment")


def clone(folder: Path) -> Path:
    """What a stack is made of, as in a fresh clone: nothing of this checkout's models and deployments."""
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "model_repository").mkdir()
    return folder


def settings(folder: Path) -> dict[str, str]:
    """For a stack of stand-ins: our release, and images by tag alone, as no digest fits."""
    lines = (line.strip() for line in (folder / ".env").read_text().splitlines())
    named = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    images = {name: value.partition("@")[0] for name, value in named.items() if name.endswith("_IMAGE")}
    return {**images, "TRITON_RELEASE": RELEASE}


@dataclass(frozen=True)
class Stack:
    """A stack of containers.

    Attributes:
        engine: where it runs.
        folder: of its docker-compose.yml.
        variables: settings, in the place of those in .env.
        overlays: names of files on top of docker-compose.yml.
    """

    engine: Engine
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this stack, and `regard` and `docker-compose` to be found."""
        found = {**self.engine.environment, **self.variables}
        path = os.pathsep.join([sysconfig.get_path("scripts"), found.get("PATH", "")])
        source = os.pathsep.join([str(ROOT / "src"), found.get("PYTHONPATH", "")])
        return found | {"PATH": path, "PYTHONPATH": source}

    def regard(self, *arguments: str, timeout: float = 600) -> str:
        """What `regard` prints, run in its folder.

        Raises:
            EngineError: it fails; with what it said.
        """
        finished = self.start_regard(*arguments, timeout=timeout)
        if finished.returncode:
            said = (finished.stdout + finished.stderr)[-8000:]
            raise EngineError(f"regard {' '.join(arguments)} ended with {finished.returncode}:\n{said}")
        return finished.stdout

    def start_regard(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`regard`, however it ends."""
        return self._run([sys.executable, "-m", "regard", *arguments], timeout)

    def compose(self, *arguments: str, timeout: float = 300, check: bool = True) -> str:
        """What `docker compose` prints.

        Raises:
            EngineError: it fails; with what it said.
        """
        finished = self.start(*arguments, timeout=timeout)
        if check and finished.returncode:
            said = (finished.stdout + finished.stderr)[-8000:]
            told = f"docker compose {' '.join(arguments)} ended with {finished.returncode}"
            raise EngineError(f"{told}:\n{said}")
        return finished.stdout

    def start(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """`docker compose`, however it ends."""
        files = [part for name in ("docker-compose.yml", *self.overlays) for part in ("--file", name)]
        return self._run([docker_compose(), *files, *arguments], timeout)

    def _run(self, command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def images(self) -> list[str]:
        """What its services run, but for those of the profile `grafana`."""
        return sorted(set(self.compose("--profile", "client", "config", "--images").split()))

    def state(self) -> str:
        """Its containers and the end of what each of them said, for whoever reads a failure."""
        listed = self.start("ps", "--all").stdout
        logs = self.start("logs", "--no-color", "--tail", "60").stdout
        return f"{listed}\n{logs}"

    def services(self) -> list[str]:
        """Those that have a container."""
        return self.compose("ps", "--all", "--format", "{{.Service}}").split()

    def inspect(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container."""
        (found,) = json.loads(self.engine.docker("inspect", self.container(service)))
        return cast("dict[str, Any]", found)

    def network(self, name: str) -> dict[str, Any]:
        """What Docker knows of a network."""
        (found,) = json.loads(self.engine.docker("network", "inspect", name))
        return cast("dict[str, Any]", found)

    def logged(self, service: str, text: str) -> dict[str, Any]:
        """The one line of JSON in a service's log that holds a text."""
        until(
            lambda: text in self.compose("logs", "--no-color", "--no-log-prefix", service),
            what=lambda: f"{text} is not in the log of {service}",
        )
        log = self.compose("logs", "--no-color", "--no-log-prefix", service)
        (line,) = (line for line in log.splitlines() if text in line)
        return cast("dict[str, Any]", json.loads(line))

    def container(self, service: str) -> str:
        """The id of a service's one container."""
        return self.compose("ps", "--all", "--quiet", service).strip()


def docker_compose() -> str:
    """Docker Compose of the extra `dev`.

    Raises:
        EngineError: it is not installed.
    """
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    found = shutil.which("docker-compose", path=path)
    if found is None:
        raise EngineError("no docker-compose, which the extra `dev` holds from Python 3.11 on: make setup")
    return found
