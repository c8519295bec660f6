"""Callers that ask again and again, each in a thread of its own, until the block ends."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from tests.faults.tally import GRACE, LOST, Call, Question, called


class Load:
    """A context manager: the callers ask while its block runs; `calls` holds what became of it.

    Args:
        callers: what each of them asks, in turn.
        rest: seconds between an answer and the next question.
    """

    def __init__(self, callers: Sequence[Sequence[Question]], *, rest: float) -> None:
        self.callers = callers
        self.rest = rest
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._under_way: dict[threading.Thread, tuple[Question, float]] = {}
        self._threads = [
            threading.Thread(target=self._ask, args=(questions,), daemon=True) for questions in callers
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        longest = max(question.timeout for questions in self.callers for question in questions)
        end = time.monotonic() + longest + 2 * GRACE
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._lock:  # who hangs has lost his call
            self.calls += [
                Call(question.who, begun, time.monotonic(), LOST, "no answer and no error")
                for question, begun in self._under_way.values()
            ]

    def _ask(self, questions: Sequence[Question]) -> None:
        thread = threading.current_thread()
        while True:
            for question in questions:
                if self._done.is_set():
                    return
                with self._lock:
                    self._under_way[thread] = question, time.monotonic()
                call = called(question)
                with self._lock:
                    del self._under_way[thread]
                    self.calls.append(call)
                self._done.wait(self.rest)
