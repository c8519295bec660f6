"""Waiting for a process to be ready, and ending it."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

START_TIMEOUT = 120.0  # seconds


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the process is ready; where it ends or takes too long, its log is the error."""
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"not ready in {START_TIMEOUT} s:\n{log.read_text()}"
        threading.Event().wait(0.02)


def listens(port: int) -> bool:
    """Whether somebody does on 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def end(process: "subprocess.Popen[bytes]") -> None:
    """End it, also where a test stopped it."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
