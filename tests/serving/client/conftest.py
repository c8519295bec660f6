"""Fixtures of the client's tests."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode finds no helpers beside the tests
from client_fakes import Ask, ask_async, ask_sync


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """`ask(fake, "classify", "net", images, ...)`: the same call of each client."""
    chosen: Ask = request.param
    return chosen


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    """Whether a condition becomes true within a minute."""

    def poll(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(0.005)
        return True

    return poll
