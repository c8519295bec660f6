"""What the faults are planted in, and what can be done to it."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import grpc

from regard import Client
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault
from regard.serving.triton.memory import descendants
from regard.serving.triton.ports import free_ports

PATIENCE = 90.0  # seconds for a server to start
Protocol = Literal["grpc", "http"]


class Server(ABC):
    """A server that the script may ask, kill and start again.

    Attributes:
        parts: what can be killed: a name, and words of the process's command.
        shared_memory: whether clients may hand tensors through /dev/shm.
    """

    parts: ClassVar[Mapping[str, str]]
    shared_memory: ClassVar[bool]

    @abstractmethod
    def roots(self) -> list[int]:
        """The processes that started all others."""

    @abstractmethod
    def address(self, protocol: Protocol) -> str:
        """host:port."""

    @abstractmethod
    def restart(self) -> None:
        """End it in good order and start it again."""

    @abstractmethod
    def stop(self) -> None: ...

    @property
    def credentials(self) -> dict[str, Any]:
        """Options of regard.Client."""
        return {}

    @property
    def headers(self) -> Mapping[str, str]:
        """What a caller without regard's client sends with each request."""
        return Credentials(**self.credentials).sent_headers

    @property
    def tls(self) -> bool:
        return "ca" in self.credentials

    def url(self, protocol: Protocol) -> str:
        scheme = protocol + ("s" if self.tls else "")
        return f"{scheme}://{self.address(protocol)}"

    def client(self, protocol: Protocol, **options: Any) -> Client:
        return Client(self.url(protocol), **(self.credentials | options))

    def connection(self, protocol: Protocol) -> Connection:
        """Without retries."""
        return connect(address_of(self.url(protocol), None), Credentials(**self.credentials))

    def channel(self) -> grpc.Channel:
        if not self.tls:
            return grpc.insecure_channel(self.address("grpc"))
        authority = grpc.ssl_channel_credentials(Path(self.credentials["ca"]).read_bytes())
        return grpc.secure_channel(self.address("grpc"), authority)

    def socket(self, timeout: float) -> socket.socket:
        """A new connection for HTTP."""
        host, _, port = self.address("http").rpartition(":")
        plain = socket.create_connection((host, int(port)), timeout)
        if not self.tls:
            return plain
        context = ssl.create_default_context(cafile=self.credentials["ca"])
        context.set_alpn_protocols(["http/1.1"])
        return context.wrap_socket(plain, server_hostname=host)

    def family(self) -> set[int]:
        """All its processes."""
        return {member for root in self.roots() for member in (root, *descendants(root))}

    def find(self, part: str) -> int:
        """The process of a part."""
        words = self.parts[part]
        (found,) = [pid for pid in self.family() if words in command_of(pid)]
        return found

    def kill(self, part: str) -> None:
        """With signal 9."""
        os.kill(self.find(part), signal.SIGKILL)

    def wait_until_ready(self, endpoints: Sequence[str]) -> None:
        """Raises Fault after PATIENCE."""
        end = time.monotonic() + PATIENCE
        connection = self.connection("grpc")
        for endpoint in endpoints:
            while True:
                try:
                    connection.config(endpoint, "", timeout=5)
                    break
                except Fault:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)
        connection.close()


class Serve(Server):
    """`regard serve --watch`."""

    shared_memory = True
    parts: ClassVar = {
        "a model's process": "/repository/largest/",
        "an image endpoint's process": "/repository/largest_image/",
        "the front": "/front/__main__.py",
        "the server": "bin/tritonserver ",
    }

    def __init__(self, repository: Path) -> None:
        http, grpc_, metrics = free_ports(3)
        self._addresses = {"http": f"127.0.0.1:{http}", "grpc": f"127.0.0.1:{grpc_}"}
        self._command: list[str | Path] = [sys.executable, "-m", "regard", "serve", "--watch"]
        self._command += ["--repository", repository, "--log", repository.with_suffix(".log")]
        self._command += [f"--http-port={http}", f"--grpc-port={grpc_}", f"--metrics-port={metrics}"]
        self._start()

    def roots(self) -> list[int]:
        return [self._process.pid]

    def address(self, protocol: Protocol) -> str:
        return self._addresses[protocol]

    def restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _start(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:  # ended meanwhile
        return ""
