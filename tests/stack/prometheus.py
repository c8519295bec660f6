"""A real Prometheus on the stack's configuration, with other addresses and less patience."""

import json
import os
import re
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack.engine import find
from tests.stack.waiting import until

from regard.serving.triton.ports import free_ports

FOLDER = Path(__file__).parents[2] / "docker" / "prometheus"
DURATION = re.compile(r"(?<=[\[ ])(\d+)([smh])\b")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def shortened(text: str, factor: float) -> str:
    """Rules or a query with each duration of it divided, and none below a second."""

    def short(match: re.Match[str]) -> str:
        return f"{max(1, round(int(match[1]) * SECONDS[match[2]] / factor))}s"

    return DURATION.sub(short, text)


def moved(config: str, addresses: Mapping[str, str]) -> str:
    """prometheus.yml with other addresses, asked every second; what has none is nowhere."""

    def address(match: re.Match[str]) -> str:
        return f'"{addresses.get(match[1], "127.0.0.1:1")}"'

    config = re.sub(r'"([a-z-]+:\d+)"', address, config)
    return config.replace("interval: 5s", "interval: 1s")


@dataclass(frozen=True)
class Prometheus:
    """A running one.

    Attributes:
        url: of its API.
        folder: of its configuration.
        process: its.
    """

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression as they are now, those without a value (NaN) left out."""
        found = asked(self.url, "query", query=expression)["result"]
        return [series for series in found if series["value"][1] != "NaN"]

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """Alert -> those that fire."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in asked(self.url, "alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def edit_rules(self, old: str, new: str) -> None:
        """Change the text of its rules, which it takes up at once."""
        for file in (self.folder / "rules").iterdir():
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        self.process.send_signal(signal.SIGHUP)


def asked(url: str, what: str, **parameters: str) -> Any:
    """What the API of a Prometheus answers."""
    address = f"{url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, addresses: Mapping[str, str], *, factor: float) -> Iterator[Prometheus]:
    """Prometheus on a copy of docker/prometheus.

    Args:
        folder: for the copy and what it stores.
        addresses: of a service, as prometheus.yml names it -> where it is here.
        factor: by which the durations in the rules are divided.
    """
    (folder / "rules").mkdir(parents=True)
    config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    (folder / "prometheus.yml").write_text(moved(config, addresses), encoding="utf-8")
    for file in (FOLDER / "rules").iterdir():
        text = file.read_text(encoding="utf-8")
        (folder / "rules" / file.name).write_text(shortened(text, factor), encoding="utf-8")
    (port,) = free_ports(1)
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                find("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"GOMAXPROCS": "1"},
        )
    try:
        running = Prometheus(f"http://127.0.0.1:{port}", folder, process)
        until(lambda: _ready(running) or process.poll() is not None, what=log.read_text)
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _ready(running: Prometheus) -> bool:
    try:
        with urllib.request.urlopen(f"{running.url}/-/ready", timeout=5):
            return True
    except OSError:
        return False
