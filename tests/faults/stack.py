"""The deployment: the real Envoy before the supervised colours, all on loopback, and what Docker's restart
policy does for them.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from tests.faults.servers import Protocol, Server
from tests.serving.deploy.local_stack import LocalStack, local_stack

from regard.serving.triton.memory import descendants

LOOK = 0.1  # seconds between looks for what has ended
# what differs from docker/gateway/, so that few callers reach a limit: a text, and what takes its place
GREEDY, BURST, RATE, AT_A_TIME = "greedy", 100, 50, 128
EVERYBODY = "- entries: [{ key: client }]"
LESS = (
    f"- {{ entries: [{{ key: client, value: {GREEDY} }}], "
    f"token_bucket: {{ max_tokens: {BURST}, tokens_per_fill: {RATE}, fill_interval: 1s }} }}"
)
LIMITS = {
    EVERYBODY: f"{LESS}\n{24 * ' '}{EVERYBODY}",
    "max_requests: 512": f"max_requests: {AT_A_TIME}",
}


class Stack(Server):
    """Colour a serves the repository, b is idle. What ends is started again at once, as Docker would
    do.
    """

    shared_memory: ClassVar = False
    parts: ClassVar = {
        "a model's process": "/repository/largest/",
        "an image endpoint's process": "/repository/largest_image/",
        "the front": "/front/__main__.py",
        "the server": "bin/tritonserver ",
        "the whole container": "regard.serving.deploy.supervised --colour=a",
        "the gateway": "envoy.yaml",
    }

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._exit = ExitStack()
        # keys and logs: not on the disk that may be filled, where the deployment is
        self._folder = Path(self._exit.enter_context(TemporaryDirectory(prefix="regard_faults_stack_")))
        deployment = repository.parent / "deployment"
        self.stack: LocalStack = self._exit.enter_context(
            local_stack(repository, self._folder, deployment=deployment, edit=_lowered)
        )
        self._processes = {**self.stack.colours, "gateway": self.stack.gateway.process}
        self._lock = threading.Lock()  # who may start a process
        self._over = threading.Event()
        self._docker = threading.Thread(target=self._keep_running, daemon=True)
        self._docker.start()

    def roots(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def address(self, protocol: Protocol) -> str:
        return f"localhost:{self.stack.gateway.port}"

    @property
    def credentials(self) -> dict[str, Any]:
        return {"ca": self.stack.gateway.ca, "api_key": self.stack.gateway.api_key}

    def kill(self, part: str) -> None:
        pid = self.find(part)
        ends = (pid, *descendants(pid)) if part == "the whole container" else (pid,)
        for each in ends:
            os.kill(each, signal.SIGKILL)

    def restart(self) -> None:
        """Of colour a, as `docker compose restart` does, then of the gateway."""
        for name in ("a", "gateway"):
            with self._lock:
                self._processes[name].terminate()
                self._processes[name].wait()
                self._start(name)

    def deploy(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `regard deploy`, as its operator."""
        gateway = self.stack.gateway
        command: list[str | Path] = [sys.executable, "-m", "regard", "deploy", *options]
        command += ["--deployment", self.stack.deployment, "--repository", self.repository]
        command += ["--url", gateway.url, "--ca", gateway.ca, "--api-key", gateway.operator_key]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def stop(self) -> None:
        self._over.set()
        self._docker.join()
        for process in self._processes.values():
            process.terminate()
            process.wait()
        self._exit.close()

    def _keep_running(self) -> None:
        while not self._over.wait(LOOK):
            with self._lock:
                for name, process in self._processes.items():
                    if process.poll() is not None:
                        self._start(name)

    def _start(self, name: str) -> None:
        log = (self._folder / f"{name}.restarted.log").open("ab")
        with log:
            self._processes[name] = subprocess.Popen(self._processes[name].args, stdout=log, stderr=log)


def _lowered(text: str) -> str:
    for limit, other in LIMITS.items():
        text = text.replace(limit, other)
    return text
