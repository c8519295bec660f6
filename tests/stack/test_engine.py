"""The engine of the tests leaves the machine as it was, however it ends, and says why it cannot start."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.stack import engine as engines
from tests.stack.compose import ROOT
from tests.stack.engine import Engine, EngineError, Network, cache, command, engine, find
from tests.stack.waiting import until

START = """
import sys, time
from pathlib import Path
from tests.stack.engine import Network, engine
with engine(Path(sys.argv[1]), Network.OWN) as found:
    found.docker("network", "create", "a")
    print(found.socket.parent, flush=True)
    time.sleep(600)
"""


def machine() -> dict[str, list[str]]:
    """Its network rules, links and mounts; counters left out."""
    rules = [command(find(program)) for program in ("iptables-save", "ip6tables-save")]
    return {
        "rules": [
            re.sub(r"\[\d+:\d+\]", "", line)
            for text in rules
            for line in text.splitlines()
            if not line.startswith("#")
        ],
        "links": re.findall(r"^\d+: (\S+):", command(find("ip"), "-oneline", "link"), re.MULTILINE),
        "mounts": [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()],
    }


def processes(run: Path) -> list[str]:
    """Those that were started with a path below an engine's folder: its own, containerd and shims."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        if any(str(run) in part for part in arguments) and process.pid != os.getpid():
            found.append(" ".join(arguments))
    return found


@pytest.mark.stack
def test_it_leaves_nothing(tmp_path: Path) -> None:
    before = machine()
    with engine(tmp_path, Network.OWN) as found:
        found.docker("network", "create", "a")
        run = found.socket.parent
        assert processes(run) != []
        assert machine() == before
        with found.network():
            assert "DOCKER" in command(find("iptables-save"))
    assert processes(run) == []
    assert machine() == before
    assert not run.exists()


@pytest.mark.stack
def test_nor_does_it_where_the_tests_are_killed(tmp_path: Path) -> None:
    before = machine()
    with subprocess.Popen(
        [sys.executable, "-c", START, tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stdout=subprocess.PIPE,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        run = Path(tests.stdout.readline().strip())
        assert processes(run) != []
        tests.send_signal(signal.SIGKILL)
    until(lambda: processes(run) == [], what=lambda: f"these are left: {processes(run)}")
    assert machine() == before
    shutil.rmtree(run)  # its socket and log
    with engine(tmp_path, Network.OWN) as found:  # the next run finds its folder in order
        assert found.docker("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]


@pytest.mark.stack
def test_two_runs_do_not_share_a_folder(own_engine: Engine) -> None:
    with pytest.raises(EngineError, match="another run uses"), engine(cache(), Network.OWN):
        pass


@pytest.mark.stack
def test_an_engine_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "engine").touch()
    said = r"(?s)dockerd ended; the end of its log:.*engine"
    with pytest.raises(EngineError, match=said), engine(tmp_path, Network.OWN):
        pass


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.shutil, "which", lambda program, path=None: None)
    with pytest.raises(EngineError, match="apt-get install -y --no-install-recommends docker.io"):
        find("dockerd")
    with pytest.raises(EngineError, match="apt-get install -y --no-install-recommends prometheus"):
        find("promtool")


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engines, "find", Path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="sudo make test-stack"), engine(tmp_path, Network.OWN):
        pass
