"""Rollouts on the stack, by `regard deploy`, while callers ask: nobody in vain."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.serving.conftest import CLASSES, largest_channel
from tests.stack.compose import Stack
from tests.stack.gateway import GatewayKeys
from tests.stack.models import ARITHMETIC

from regard import Client
from regard.errors import RegardError

pytestmark = pytest.mark.stack
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
# short, and generous with latency, as this is about who answers
SHORT = (
    *("--least-seconds", "3", "--least-requests", "200", "--mirror-seconds", "1", "--watch-seconds", "2"),
    *("--slo", "p95=20x,memory=1000MB"),
)


class Callers:
    """What callers were told while a rollout went on."""

    def __init__(self) -> None:
        self.right = 0
        self.wrong: list[str] = []


@contextmanager
def callers(clients: Mapping[str, Client]) -> Iterator[Callers]:
    """One by each protocol, who asks all the time, each time after the answer before."""
    told, stop = Callers(), threading.Event()

    def ask(client: Client) -> None:
        while not stop.is_set():
            try:
                (result,) = client.segment(ARITHMETIC, [PIXELS])
            except RegardError as error:
                told.wrong.append(str(error))
                continue
            if np.array_equal(result.label_map, PIXELS.max(2) % CLASSES):
                told.right += 1
            else:
                told.wrong.append("another answer")

    threads = [threading.Thread(target=ask, args=[client]) for client in clients.values()]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def colour_of(keys: GatewayKeys) -> str:
    """Who answers callers now."""
    return keys.ask(f"/v2/models/{ARITHMETIC}/ready", key=keys.client).headers["regard-colour"]


def test_a_good_version_takes_over_and_a_rollback_takes_it_back_and_no_request_is_lost(
    whole: Stack, keys: GatewayKeys, clients: Mapping[str, Client], tmp_path: Path
) -> None:
    largest_channel(tmp_path / "next")
    before = colour_of(keys)
    with callers(clients) as told:
        entry = json.loads(whole.regard("deploy", str(tmp_path / "next"), *SHORT, "--json"))
        assert entry["model"] == ARITHMETIC
        after = colour_of(keys)
        assert after != before
        assert entry["version"] in keys.status(after)["models"][ARITHMETIC]["versions"]
        promoted = told.right
        whole.regard("deploy", "--rollback", "--json")
        assert colour_of(keys) == before
        assert keys.status(before)["state"] == "serving"
    assert told.wrong == []
    assert told.right > promoted > 0
    whole.regard("deploy", "--retire", "--json")


def test_a_version_with_wrong_answers_is_refused_and_nobody_sees_one(
    whole: Stack, keys: GatewayKeys, clients: Mapping[str, Client], tmp_path: Path
) -> None:
    """Its own goldens hold: only the comparison with what serves tells."""
    largest_channel(tmp_path / "biased", bias=1)
    before = colour_of(keys)
    with callers(clients) as told:
        finished = whole.start_regard("deploy", str(tmp_path / "biased"), *SHORT, "--json")
    assert finished.returncode == 1, finished
    assert "agree" in finished.stdout + finished.stderr
    assert told.wrong == []
    assert told.right > 0
    assert colour_of(keys) == before
    events = [entry["event"] for entry in json.loads(whole.regard("deploy", "--history", "--json"))]
    assert "refused" in events
