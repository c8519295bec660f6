"""Docker Compose, asked about the stack of one folder."""

import json
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from regard.errors import InvalidInput, RegardError
from regard.serving.machine.asking import ask

PROGRAMS = (("docker", "compose"), ("docker-compose",))  # a plug-in, or a program of its own
FILE = "docker-compose.yml"
OVERLAYS = {"gpu": "docker-compose.gpu.yml", "dev": "docker-compose.dev.yml"}
BUILDX = "docker-buildx-plugin, which is Debian's docker-buildx"
SAID = 5  # lines of what failed that an error shows
NEXT_STEP = {  # by what Docker says
    "address already in use": "end what listens there, or set another port in .env",
    "could not select device driver": "install NVIDIA's container toolkit, then see: regard doctor",
    "connect to the Docker daemon": "start Docker, and let this user talk to it (group docker)",
    "connect to the docker API": "start Docker, and let this user talk to it (group docker)",
    "permission denied": "let this user talk to Docker (group docker)",
    "no such host": "see whether the image's registry can be reached from here",
    "manifest unknown": "see whether there is an image of that tag, and the tags in .env",
    "didn't complete successfully": "see what it said: docker compose logs",
    "buildx": f"install {BUILDX}",
    "requires buildkit": f"install {BUILDX}",
}


class StackError(RegardError):
    """Docker or its Compose is not there, or the stack did not come up."""


@dataclass(frozen=True)
class Container:
    """One service as it runs.

    state: Docker's word, such as "running" or "exited".
    health: likewise, such as "healthy"; "" without a check.
    """

    service: str
    state: str
    health: str
    exit_code: int


@dataclass(frozen=True)
class Compose:
    """Compose with the files of a stack; it is told lists of arguments, never a line for a shell."""

    program: tuple[str, ...]
    project: Path
    files: tuple[str, ...]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The stack as Compose reads it: settings filled in, overlays laid on."""
        found: dict[str, Any] = json.loads(self.ask("config", "--format", "json"))
        return found

    def containers(self) -> list[Container]:
        """Those that there are, those that have ended included."""
        return [
            Container(found["Service"], found["State"], found.get("Health", ""), found.get("ExitCode", 0))
            for found in _objects(self.ask("ps", "--all", "--format", "json"))
        ]

    def ask(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            StackError: it fails; with what it says.
        """
        finished = subprocess.run(
            self._command(arguments),
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if finished.returncode:
            raise self._failed(arguments, finished.returncode, finished.stderr.splitlines())
        return finished.stdout

    def follow(self, *arguments: str, report: Callable[[str], None]) -> None:
        """Run a command, telling each line that it prints.

        Raises:
            StackError: likewise.
        """
        last: deque[str] = deque(maxlen=SAID)
        with subprocess.Popen(
            self._command(("--progress", "plain", *arguments)),
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if said := line.strip():
                    last.append(said)
                    report(said)
        if process.returncode:
            raise self._failed(arguments, process.returncode, last)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [*self.program, *(part for file in self.files for part in ("--file", file)), *arguments]

    def _failed(self, arguments: tuple[str, ...], code: int, said: "deque[str] | list[str]") -> StackError:
        lines = [line.strip() for line in said if line.strip()][-SAID:]
        lines = [line for line in lines if "rror" in line] or lines
        what = "; ".join(lines)
        steps = [step for sign, step in NEXT_STEP.items() if sign.lower() in what.lower()]
        command = " ".join([*self.program, *arguments])
        next_step = f". Next: {steps[0]}" if steps else ""
        return StackError(f"`{command}` ended with code {code} in {self.project}: {what}{next_step}")


def compose_in(project: Path, *, gpu: bool = False, dev: bool = False) -> Compose:
    """Compose for the stack of a folder.

    Args:
        project: the folder that holds docker-compose.yml.
        gpu, dev: lay these overlays on it.

    Raises:
        InvalidInput: the folder holds no stack.
        StackError: there is no Docker Compose, or no Docker that it could ask.
    """
    chosen = [name for name, wanted in {"gpu": gpu, "dev": dev}.items() if wanted]
    files = (FILE, *(OVERLAYS[name] for name in chosen))
    for file in files:
        if not (project / file).is_file():
            raise InvalidInput(f"{project} holds no {file}; name the folder of the stack, a clone of regard")
    compose = Compose(_program(), project, files)
    compose.ask("ls")  # the least that needs the engine
    return compose


def _program() -> tuple[str, ...]:
    for program in PROGRAMS:
        if ask(*program, "version", "--short").fault is None:
            return program
    raise StackError(
        "neither `docker compose` nor docker-compose is there; install Docker Engine and its plug-in "
        "docker-compose-plugin"
    )


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects of JSON, one to a line; older Compose prints an array."""
    for line in filter(None, text.splitlines()):
        found = json.loads(line)
        yield from found if isinstance(found, list) else [found]
