"""Doing what a page says, as its reader would: each shell block in a shell, each Python block in Python, each
block with a title written to that file, and `regard serve` in the background until the page ends.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.docs.blocks import ROOT, Block, blocks_of

from regard import Client
from regard.serving.triton.ports import free_ports

# what a page may say that is not done here, with the reason
NOT_DONE = {
    "make": "the tests run by it",
    "docker": "needs an engine",
    "regard up": "likewise",
    "regard down": "likewise",
    "regard deploy": "of the stack; tests/stack rolls out",
    "pip": "everything is installed",
    "source": "likewise",
    "regard train": "takes long; tests/models/training trains",
}
# what a clone holds and a page reads
GIVEN = ("models", "docs", "benchmarks", "examples")
STEP = 600.0  # seconds for a block, generous


class Walk:
    """A reader in a folder of their own, with what a clone holds.

    Args:
        folder: where the page's commands run and write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in GIVEN:
            (folder / name).symlink_to(ROOT / name)
        self.ports = dict(zip((8000, 8001, 8002), free_ports(3), strict=True))
        self.left_out: list[str] = []
        self._servers: list[subprocess.Popen[str]] = []

    def do(self, block: Block) -> None:
        """One block, whole; AssertionError says what its command printed."""
        text = self._at_free_ports(block.text)
        if block.title is not None:
            (self.folder / block.title).write_text(text)
        elif block.language == "python":
            self._run([sys.executable, "-"], text, block)
        elif block.language == "sh":
            self._shell(text, block)

    def end(self) -> None:
        """End the servers that the page started."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.communicate(timeout=60)

    def _shell(self, text: str, block: Block) -> None:
        done = []
        for line in text.replace("\\\n", " ").splitlines():
            command = line.partition("#")[0].strip()
            if any(re.match(rf"{name}\b", command) for name in NOT_DONE):
                self.left_out.append(line)
            elif command.startswith("regard serve"):
                self._run(["bash", "-eo", "pipefail"], "\n".join(done), block)
                done.clear()
                self._serve(command)
            else:
                done.append(line)
        self._run(["bash", "-eo", "pipefail"], "\n".join(done), block)

    def _serve(self, command: str) -> None:
        http, grpc, metrics = self.ports.values()
        words = [*command.split(), f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
        log = (self.folder / "serve.txt").open("w")
        server = subprocess.Popen(
            words, cwd=self.folder, env=self._environment, text=True, stdout=log, stderr=log
        )
        log.close()
        self._servers.append(server)
        until = time.monotonic() + STEP
        with Client(f"127.0.0.1:{grpc}") as client:
            while not (client.ready() and "ready: " in (self.folder / "serve.txt").read_text()):
                said = (self.folder / "serve.txt").read_text()
                assert server.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.2)

    def _run(self, command: list[str], text: str, block: Block) -> None:
        finished = subprocess.run(
            command,
            input=text,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=STEP,
            check=False,
        )
        assert finished.returncode == 0, f"{block}\n{text}\n{finished.stdout}\n{finished.stderr}"

    def _at_free_ports(self, text: str) -> str:
        for usual, free in self.ports.items():
            text = re.sub(rf":{usual}\b", f":{free}", text)
        return text

    @property
    def _environment(self) -> Mapping[str, str]:
        binaries = str(Path(sys.executable).parent)
        return os.environ | {
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "REGARD_URL": f"127.0.0.1:{self.ports[8001]}",
        }


@contextmanager
def walk(page: Path, folder: Path) -> Iterator[Walk]:
    """Do the whole page; what it left out is in the Walk."""
    reader = Walk(folder)
    with ExitStack() as at_the_end:
        at_the_end.callback(reader.end)
        for block in blocks_of(page):
            reader.do(block)
        yield reader
