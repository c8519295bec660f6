"""Faults, planted for real in a stack of processes: each is there during its block, and gone after it where
that is possible.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
from tests.serving.deploy.local_stack import LocalStack, healthy
from tests.stack.prometheus import Prometheus
from tests.stack.traffic import again_and_again, inferences, png
from tests.stack.waiting import until

from regard.contract.goldens import write_answers
from regard.contract.manifest import write_manifest
from regard.export.artifact import Artifact
from regard.serving.deploy.colours import read_colours, write_colours
from regard.serving.deploy.keys import certificates
from regard.serving.deploy.routing import Routing, write_routing
from regard.serving.repository import add

CALLERS = 40  # over each of two protocols: the last of them waits longer than the model's queue allows
STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class Monitored:
    """A stack and its Prometheus. artifact: of the model that it serves."""

    stack: LocalStack
    prometheus: Prometheus
    artifact: Artifact


Fault = Callable[[Monitored], AbstractContextManager[None]]


@contextmanager
def overload(here: Monitored) -> Iterator[None]:
    with inferences(here.stack.gateway, png(2400), callers=CALLERS):
        yield


@contextmanager
def version_with_other_answers(here: Monitored) -> Iterator[None]:
    """Colour a watches the repository, where it appears."""
    with tempfile.TemporaryDirectory(dir=here.stack.repository.parent) as folder:
        draft = Path(shutil.copytree(here.stack.repository, Path(folder) / "repository"))
        endpoints = add(here.artifact, draft).endpoints
        for endpoint in endpoints:
            goldens = draft / endpoint / "2" / "goldens"
            answers = {path.name: np.full(3, 1 / 3, np.float32) for path in goldens.glob("*.[jp]*g")}
            (goldens / "answers.npz").unlink()
            write_answers(goldens / "answers.npz", answers)
            (draft / endpoint / "2" / "manifest.json").unlink()
            write_manifest(draft / endpoint / "2")
        for endpoint in endpoints:
            (draft / endpoint / "2").rename(here.stack.repository / endpoint / "2")
    yield
    for endpoint in endpoints:
        shutil.rmtree(here.stack.repository / endpoint / "2")


@contextmanager
def certificate_of_five_days(here: Monitored) -> Iterator[None]:
    keys = here.stack.gateway.keys
    keys.server_certificate.unlink()
    with mock.patch.object(certificates, "SERVER_DAYS", 5):
        certificates.keep_certificates(keys)
    yield
    certificates.keep_certificates(keys)  # which renews it


@contextmanager
def limit_near_what_is_used(here: Monitored) -> Iterator[None]:
    """By the rule, not by the machine: a limit needs a container."""
    here.prometheus.edit_rules("> 0.9", "> 0.0001")
    yield
    here.prometheus.edit_rules("> 0.0001", "> 0.9")


@contextmanager
def nobody_asks_after_a_deploy(here: Monitored) -> Iterator[None]:
    deployment = here.stack.deployment
    with inferences(here.stack.gateway, png(8)):
        shutil.copytree(deployment / "snapshots" / "1", deployment / "snapshots" / "2")
        write_colours(deployment, {**read_colours(deployment), "b": "snapshots/2"})
        until(lambda: here.stack.status("b")["source"] == "snapshots/2", what=lambda: "b is as it was")
        until_serving(here.stack, "b")
    yield


def stub_after_stub(colour: str) -> Fault:
    """Whenever the colour serves."""

    @contextmanager
    def planted(here: Monitored) -> Iterator[None]:
        def kill() -> None:
            if here.stack.status(colour)["state"] == "serving":
                kill_stubs(here.stack, colour)

        with again_and_again(kill, pause=0.2):
            yield
        until_serving(here.stack, colour)

    return planted


def stubs_at_once(colour: str) -> Fault:
    """As soon as they live, so that nothing helps."""

    @contextmanager
    def planted(here: Monitored) -> Iterator[None]:
        with again_and_again(lambda: kill_stubs(here.stack, colour), pause=0.01):
            yield

    return planted


@contextmanager
def dead_server(here: Monitored) -> Iterator[None]:
    """Of the colour that everybody is sent to, while its supervisor is held."""
    supervisor = here.stack.colours["a"]
    write_routing(here.stack.deployment, Routing("a"))
    with inferences(here.stack.gateway, png(8)):
        supervisor.send_signal(signal.SIGSTOP)
        for process in children(supervisor.pid):
            if process.name() == "tritonserver":
                process.kill()
        yield
    supervisor.send_signal(signal.SIGCONT)


@contextmanager
def dead_gateway(here: Monitored) -> Iterator[None]:
    here.stack.gateway.process.kill()
    yield


def until_serving(stack: LocalStack, colour: str) -> None:
    until(lambda: healthy(stack.ports[colour]), what=lambda: f"{colour} is {stack.status(colour)['state']}")


def kill_stubs(stack: LocalStack, colour: str) -> None:
    for process in children(stack.colours[colour].pid):
        if is_stub(process):
            os.kill(process.pid, signal.SIGKILL)


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_stub(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and STUB in " ".join(process.cmdline()[:1])
    except psutil.NoSuchProcess:
        return False
