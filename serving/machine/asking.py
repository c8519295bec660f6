"""Asking other programs, which may be missing, fail, crash or never answer."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SECONDS = 10.0  # that a program's answer may take
PROBE_SECONDS = 20.0  # that a library's may, read from a cold disk
GRACE = 1.0  # seconds; what hangs inside a driver cannot even be killed, and is left behind
NOT_FOUND = "is not on PATH"
PROBES = Path(__file__).parent / "probes"


@dataclass(frozen=True)
class Answer:
    """What a program printed, and why that is no answer (None where it is one), to follow its name."""

    output: str = ""
    errors: str = ""
    fault: str | None = None

    @property
    def missing(self) -> bool:
        """Whether there is no such program."""
        return self.fault == NOT_FOUND


def ask(*command: str) -> Answer:
    """Run a program and take what it prints; after SECONDS it is ended, with all that it started."""
    return _ask(command, SECONDS)


def probe(name: str, *arguments: str) -> tuple[dict[str, Any], Answer]:
    """The facts that one of the probes tells of a library, which may take its whole process down.

    Returns: the facts, none where the answer has a fault; and the answer.
    """
    answer = _ask((sys.executable, str(PROBES / f"{name}.py"), *arguments), PROBE_SECONDS)
    if answer.fault is not None:
        return {}, answer
    try:
        facts: dict[str, Any] = json.loads(answer.output.splitlines()[-1])  # libraries print, too
    except (IndexError, ValueError):
        return {}, replace(answer, fault="ended without an answer")
    return facts, answer


def _ask(command: tuple[str, ...], seconds: float) -> Answer:
    try:
        process = subprocess.Popen(
            command,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # a group of its own, to be ended as a whole
        )
    except FileNotFoundError:
        return Answer(fault=NOT_FOUND)
    except OSError as error:
        return Answer(fault=f"cannot be run: {error.strerror}")
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return Answer(fault=f"gave no answer within {seconds:g} s")
    return Answer(output, errors, _fault(process.returncode, errors.strip() or output.strip()))


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=GRACE)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _fault(code: int, said: str) -> str | None:
    if code == 0:
        return None
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with code {code}" + (f": {said.splitlines()[-1]}" if said else "")
