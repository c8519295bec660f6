"""`regard deploy`, as a process, ended in the middle: by Ctrl-C, and by kill -9."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.serving.deploy.local_stack import LocalStack
from tests.serving.deploy.rollout.models import version
from tests.serving.deploy.rollout.traffic import traffic

from regard.export.artifact import Artifact
from regard.serving.deploy.colours import read_colours
from regard.serving.deploy.rollout.history import Entry, read_history
from regard.serving.deploy.routing import Routing, read_routing

pytestmark = pytest.mark.slow
Until = Callable[[Callable[[], bool]], None]


@contextmanager
def deploying(stack: LocalStack, artifact: Artifact) -> Iterator["subprocess.Popen[str]"]:
    """As an engineer would, with the keys where `regard up` puts them; it is the canary for long."""
    client = stack.deployment / "client"
    client.mkdir(exist_ok=True)
    (client / "ca.pem").write_bytes(stack.gateway.ca.read_bytes())
    (client / "operator_key").write_text(stack.gateway.operator_key)
    places = ["--deployment", stack.deployment, "--repository", stack.repository, "--url", stack.gateway.url]
    tried = [
        "--least-seconds",
        "0.5",
        "--least-requests",
        "20",
        "--mirror-seconds",
        "0.2",
        "--watch-seconds",
        "300",
    ]
    command = [sys.executable, "-m", "regard", "deploy", artifact.folder, *places, *tried]
    with subprocess.Popen(
        [*command, "--slo", "p95=50x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_ctrl_c_gives_the_requests_back(stack: LocalStack, tmp_path: Path, until: Until) -> None:
    with (
        traffic(stack.gateway, (0,)) as seen,
        deploying(stack, version(tmp_path / "new")) as process,
    ):
        until(lambda: read_routing(stack.deployment).canary > 0)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "largest version 2 is taken back; a serves as before" in told
    assert "Traceback" not in told
    assert not seen.lost
    assert not seen.wrong
    assert read_routing(stack.deployment) == Routing("a")
    assert read_colours(stack.deployment) == {"a": "repository", "b": None}


def test_after_a_kill_the_next_one_cleans_up_and_goes_on(
    stack: LocalStack, rolled_out: Callable[..., Entry], tmp_path: Path, until: Until
) -> None:
    artifact = version(tmp_path / "new")
    with traffic(stack.gateway, (0,)) as seen:
        with deploying(stack, artifact) as process:
            until(lambda: read_routing(stack.deployment).canary > 0)
            process.kill()
        assert read_routing(stack.deployment).canary > 0
        entry = rolled_out(artifact)
    assert [each.event for each in read_history(stack.deployment)[-2:]] == ["interrupted", "promoted"]
    assert entry.version == 2
    assert read_routing(stack.deployment) == Routing(entry.colour)
    assert not seen.lost
    assert not seen.wrong
