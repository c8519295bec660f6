"""`regard serve` as a process: what it prints, how signals end it, what it leaves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from regard.errors import InvalidInput
from regard.serving.cli.serve import _default_log, serve
from regard.serving.triton.ports import free_ports

COMMAND = "import typer; from regard.serving.cli.serve import serve; typer.run(serve)"


@contextmanager
def serving(repository: Path, temporary: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command with a temporary folder of its own, and check that it leaves nothing there or in shared
    memory.
    """
    http, grpc, metrics = free_ports(3)
    ports = ["--http-port", str(http), "--grpc-port", str(grpc), "--metrics-port", str(metrics)]
    command = [sys.executable, "-c", COMMAND, "--repository", str(repository), *ports, *options]
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        wait_for(lambda: process.poll() is not None or prefix_of(process.pid), "the server's process")
        prefix = prefix_of(process.pid)
        yield process
    assert prefix
    assert not list(temporary.iterdir())
    assert not list(Path("/dev/shm").glob(prefix + "*"))


def prefix_of(pid: int) -> str | None:
    """The names of the shared memory that the server below this process was told to use."""
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            for word in child.cmdline():
                if "shm-region-prefix-name=" in word:
                    return str(word.rpartition("=")[2])
    return None


def wait_for(done: Callable[[], Any], what: str, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_told_to_stop(
    repository: Path, connect: Any, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "logs" / "triton.log"
    with serving(repository, tmp_path / "temporary", "--log", str(log)) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                break
        else:
            raise AssertionError(process.stderr.read() if process.stderr else "")
        assert {"largest", "colour"} <= set(re.findall(r"\w+", "".join(lines)))
        url = re.search(r"gRPC (\S+),", lines[-1])
        assert url
        with connect(url[1]) as infer:
            infer("largest", np.zeros((1, 16, 16, 3), np.uint8))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert "successfully loaded 'largest'" in log.read_text()


def test_a_broken_model_takes_no_other_down_unless_it_is_to_be_strict(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the working directory cannot be written, the log is kept with the run."""
    (repository / "colour" / "1" / "model.onnx").write_bytes(b"no graph")
    log = str(tmp_path / "triton.log")
    (tmp_path / "runs").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    with serving(repository, tmp_path / "temporary", "--watch") as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                break
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert "largest" in "".join(lines)
    assert re.search(rf"log {re.escape(str(tmp_path / 'temporary'))}/\S+/server.log", "".join(lines))
    assert re.search(r"colour refused: .*model\.onnx is not the file that was written there", errors)
    with serving(repository, tmp_path / "other", "--log", log, "--strict") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    # a spinner was there, and lines are broken
    said = " ".join(errors.split())
    assert re.search(r"model 'colour': .*model\.onnx is not the file that was written there", said)


def test_the_log_lies_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert _default_log() == Path("runs/triton.log")
    assert (tmp_path / "runs" / "triton.log").is_file()


def test_a_signal_during_start_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    with serving(repository, tmp_path / "temporary", "--log", str(log)) as process:
        wait_for(lambda: log.exists() and "loading" in log.read_text(), "a model being loaded")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_repository_that_is_none_ends_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match="does not exist; a model repository is a folder that `regard repo add` makes"
    ):
        serve(repository=tmp_path / "nowhere", log=tmp_path / "triton.log")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
