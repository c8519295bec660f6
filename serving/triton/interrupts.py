"""A Ctrl-C that waits until what is being begun is known to who will end it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Run the block to its end, and then what handles the signals that came meanwhile, which may raise.

    Only handlers in Python are held back: without one a signal ends the process, or is ignored, as before.
    They run in the main thread alone, so that a block of another thread is never interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    held = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in held:
        signal.signal(number, lambda *what: came.append(what))
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    for arrived, frame in came[:1]:
        held[signal.Signals(arrived)](arrived, frame)


class Stopped(BaseException):
    """SIGINT or SIGTERM; not an Exception, so that nothing on the way takes it for a failure."""


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Raise Stopped in the block, in the main thread, at the first of SIGNALS. Those that come when the event
    is set change nothing; the first sets it, and so may whoever is at the end by himself.
    """
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            raise Stopped

    previous = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
