"""The front's process, as its parent sees it."""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from regard.serving.triton.front.settings import Settings

GRACE = 2.0  # seconds, after the server has ended


class FrontProcess:
    """Starts a front; it ends with this process, however that ends.

    Args:
        settings: of the front; they go through a pipe, since others can read a command line.
        log: where it says what went wrong.
    """

    def __init__(self, settings: Settings, log: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            # by its file: `-m` would look for regard in the working directory first
            [sys.executable, Path(__file__).with_name("__main__.py")],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
        )
        self._tell(json.dumps(asdict(settings)) + "\n")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def drain(self) -> None:
        """Take no more requests, finish those in flight and end; returns at once."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def stop(self) -> None:
        """Drain it, and kill it if that takes more than GRACE seconds."""
        self.drain()
        try:
            self._process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it could not even start; `alive` tells
            self._process.stdin.write(line)
            self._process.stdin.flush()
