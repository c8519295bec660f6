"""The memory of a process and of those that it started."""

import os
import subprocess
import sys

from regard.serving.triton.memory import server_memory

HOLD = "data = bytes(range(256)) * 400_000; print(len(data), flush=True); input()"


def test_a_child_counts() -> None:
    before = server_memory(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        size = int(child.stdout.readline())
        assert server_memory(child.pid) > size
        assert server_memory(os.getpid()) - before > 0.9 * size
        child.communicate("\n")


def test_who_has_ended_takes_none() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert server_memory(child.pid) == 0
