"""A build as its caller sees it: a process is started, watched and ended, and a fault of the library is an
error message.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO

from pydantic import ValidationError

from regard.errors import ExportError
from regard.export.tensorrt.job import MESSAGES, Built, Failed, Job, Progress
from regard.export.tensorrt.library import NAMES

COMMAND = (sys.executable, "-m", "regard.export.tensorrt.worker")
WORDS = 400  # characters of its last words that an error quotes

Report = Callable[[str, float], None]


def built(
    job: Job,
    *,
    wall_seconds: float,
    report: Report = lambda phase, fraction: None,
    command: tuple[str, ...] = COMMAND,
) -> Built:
    """Build an engine in a process of its own.

    Args:
        wall_seconds: after which it is ended.
        report: told the library's phase and the fraction of the build that is done, 0 to 1.
        command: of the process.

    Raises:
        ExportError: there is no engine, with the reason; or the process died or ran over a limit.
        OSError: the engine cannot be written.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as stderr:
        overdue = threading.Event()
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process:

            def end() -> None:
                overdue.set()
                process.kill()

            timer = threading.Timer(wall_seconds, end)
            timer.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                _send(job, process.stdin)
                last = _followed(process.stdout, report)
                process.wait()
            finally:
                timer.cancel()
                process.kill()
        if isinstance(last, Built):
            return last
        if isinstance(last, Failed):
            if last.errno is not None:
                raise OSError(last.errno, os.strerror(last.errno))
            raise ExportError(last.reason)
        stderr.seek(0)
        how = (
            f"was ended after {wall_seconds:.0f} seconds"
            if overdue.is_set()
            else _death(process.returncode, job)
        )
        raise ExportError(
            f"the process in which {NAMES[job.library]} builds an engine of {job.graph} {how}"
            f"{_last_words(stderr)}"
        )


def _send(job: Job, stdin: IO[str]) -> None:
    try:
        stdin.write(job.model_dump_json() + "\n")
        stdin.close()
    except BrokenPipeError:  # it died at once, which its return code tells
        pass


def _followed(stdout: IO[str], report: Report) -> Built | Failed | None:
    """The last message of a process; None where it has none."""
    for line in stdout:
        try:
            message = MESSAGES.validate_json(line)
        except ValidationError:  # half a line of one that died
            return None
        if not isinstance(message, Progress):
            return message
        report(message.phase, message.fraction)
    return None


def _death(code: int, job: Job) -> str:
    if code == -signal.SIGXCPU:
        return f"took more than {job.processor_seconds} seconds of processor time"
    if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        return f"was ended from outside by {signal.Signals(-code).name}, as where memory runs out"
    if code < 0:
        return f"died of {signal.Signals(-code).name}, a fault of the library"
    return f"ended without a word, with code {code}"


def _last_words(stderr: IO[str]) -> str:
    lines = [line.strip() for line in stderr.read().splitlines() if line.strip()]
    return f"; its last words: {lines[-1][-WORDS:]}" if lines else ""
