"""A stack that heals: what dies is started again, and says that it was dead."""

from collections.abc import Mapping

import numpy as np
import pytest
from tests.serving.conftest import CLASSES
from tests.stack.compose import Stack
from tests.stack.gateway import GatewayKeys
from tests.stack.models import ARITHMETIC
from tests.stack.prometheus import asked
from tests.stack.test_prometheus import URL
from tests.stack.waiting import until

from regard import Client

pytestmark = pytest.mark.stack
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
KILL_STUBS = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if b"triton_python_backend_stub" in (folder / "cmdline").read_bytes().split(b"\\0")[0]:
            os.kill(int(folder.name), signal.SIGKILL)
    except OSError:
        pass
"""


def canaries() -> dict[str, float]:
    """Model -> what Prometheus has last seen of its canary."""
    found = asked(URL, "query", query='regard_canary_ok{colour="a"}')["result"]
    return {series["metric"]["model"]: float(series["value"][1]) for series in found}


def check_answers(clients: Mapping[str, Client]) -> None:
    for client in clients.values():
        (result,) = client.segment(ARITHMETIC, [PIXELS], timeout=120)
        np.testing.assert_array_equal(result.label_map, PIXELS.max(2) % CLASSES)


def test_a_killed_stub_is_seen_and_its_model_answers_again(
    whole: Stack, keys: GatewayKeys, clients: Mapping[str, Client]
) -> None:
    until(lambda: canaries().get(ARITHMETIC) == 1, what=lambda: f"canaries are {canaries()}")
    before = keys.status("a")["restarts"]
    whole.compose("exec", "-T", "triton-a", "python3", "-c", KILL_STUBS)
    until(lambda: keys.status("a")["restarts"] > before, what=lambda: f"a is {keys.status('a')}")
    until(lambda: keys.status("a")["state"] == "serving", what=lambda: f"a is {keys.status('a')}")
    check_answers(clients)
    until(lambda: canaries().get(ARITHMETIC) == 1, what=lambda: f"canaries are {canaries()}")


def test_a_killed_container_is_started_again(
    whole: Stack, keys: GatewayKeys, clients: Mapping[str, Client]
) -> None:
    """By its restart policy; callers wait for it within their time."""
    container = whole.container("triton-a")
    before = whole.inspect("triton-a")["State"]["StartedAt"]
    whole.compose("exec", "-T", "triton-a", "python3", "-c", "import os; os.kill(1, 15)")
    until(
        lambda: whole.inspect("triton-a")["State"]["StartedAt"] != before,
        what=lambda: "it was not started again",
    )
    check_answers(clients)
    until(lambda: keys.status("a")["state"] == "serving", what=lambda: f"a is {keys.status('a')}")
    assert whole.container("triton-a") == container
