"""A way for one thread to stop what other threads wait for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancellation:
    """Set once; whoever waits under `on` is told by its own action."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._actions: list[Callable[[], object]] = []

    @property
    def cancelled(self) -> bool:
        """Whether it is set."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel now, and everything that enters `on` later."""
        with self._lock:
            self._event.set()
            actions, self._actions = self._actions, []
        for action in actions:
            action()

    def wait(self, seconds: float) -> None:
        """Sleep, or less when cancelled."""
        self._event.wait(seconds)

    @contextmanager
    def on(self, action: Callable[[], object]) -> Iterator[None]:
        """Call `action` if cancelled inside the block; at once if cancelled already."""
        with self._lock:
            late = self._event.is_set()
            if not late:
                self._actions.append(action)
        if late:
            action()
        try:
            yield
        finally:
            with self._lock:
                if action in self._actions:
                    self._actions.remove(action)
