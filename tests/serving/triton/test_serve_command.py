"""`regard serve` as a process: what it prints, how signals end it, what it leaves."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.serving.triton.ports import free_ports

COMMAND = "import typer; from regard.serving.cli.serve import serve; typer.run(serve)"


def run(repository: Path, *options: str) -> subprocess.Popen[str]:
    http, grpc, metrics = free_ports(3)
    ports = ["--http-port", str(http), "--grpc-port", str(grpc), "--metrics-port", str(metrics)]
    command = [sys.executable, "-c", COMMAND, "--repository", str(repository), *ports, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_told_to_stop(repository: Path, connect: Any, tmp_path: Path, number: signal.Signals) -> None:
    runs = set(Path("/tmp").glob("regard_triton_*"))
    regions = set(Path("/dev/shm").glob("regard_*"))
    log = tmp_path / "logs" / "triton.log"
    with run(repository, "--log", str(log)) as process:
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
    assert set(Path("/tmp").glob("regard_triton_*")) <= runs
    assert set(Path("/dev/shm").glob("regard_*")) <= regions
    assert "successfully loaded 'largest'" in log.read_text()


def test_a_signal_during_start_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    with run(repository, "--log", str(log)) as process:
        while not (log.exists() and "loading" in log.read_text()):
            assert process.poll() is None
        folder = re.search(r"/tmp/regard_triton_\w+", log.read_text())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert folder
    assert not Path(folder[0]).exists()
