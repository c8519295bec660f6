"""Waiting for what comes by itself."""

import time
from collections.abc import Callable

LIMIT = 180  # seconds; what is waited for takes a few on a quiet machine


def until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Return when it holds; fails where it does not in time, saying what is instead."""
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, f"after {LIMIT} s {what()}"
        time.sleep(0.5)
