"""What a session of frames does except wait: as `core.py`, a generator of steps for each thing it does.

The server keeps the state of a session under its number, so that all its frames go to one endpoint, one at a
time, and none is ever sent twice: a step that was answered, but whose answer was lost, has moved the state.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from regard.contract.card import Card
from regard.errors import InvalidInput, RegardError, SessionLost
from regard.serving.client.batches import Batch, Size, batches
from regard.serving.client.core import Core
from regard.serving.client.images import ImageItem
from regard.serving.client.steps import Infer, Steps
from regard.serving.client.tasks import METHODS, Task
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.sessions import says_forgotten
from regard.serving.protocol.wire import Fault, Request

T = TypeVar("T")

HIGHEST = 2**63 - 1  # of a session's number: what both protocols carry
GIVEN_UP = "a step was given up before its answer came"


class SessionCore:
    """One session's knowledge.

    Attributes:
        answered: frames that have a result.
    """

    def __init__(self, core: Core, model: str, version: str) -> None:
        self.answered = 0
        self._core, self._model, self._version = core, model, version
        self._number = 1 + secrets.randbelow(HIGHEST)  # 0 would be no session
        self._card: Card | None = None
        self._files = False  # whether its frames go as image files
        self._size: Size | None = None
        self._at: float | None = None
        self._last: Request | None = None
        self._lost: str | None = None
        self._over = False
        # those that somebody still has: a session of a camera has no end
        self._done: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._turn = threading.Lock()

    @property
    def card(self) -> Card:
        """The model's."""
        if self._card is None:
            raise RuntimeError("a session begins with `with`")
        return self._card

    def begin(self, deadline: Deadline) -> Steps[None]:
        """Read the model's Card.

        Raises:
            InvalidInput: it keeps no state.
        """
        card = yield from self._core.card(self._model, self._version, deadline)
        if card.state is None:
            raise InvalidInput(
                f"{self._model!r} keeps nothing from one frame to the next, and needs no session: call "
                f"{METHODS[card.task]}() with all frames"
            )
        self._card = card

    def step(self, task: Task[T], frame: ImageItem, at: float | None, deadline: Deadline) -> Steps[T]:
        """The result of the next frame.

        at: when it is from, where that is known: a time or a number, above the last one's.

        Raises:
            InvalidInput: the frame cannot be taken, which leaves the session as it was; another is under way.
            SessionLost: the session has ended, or its answers are not what the Card says.
        """
        with self._alone():
            if self._over:
                raise RuntimeError("this session is over; begin a new one")
            if self._lost is not None:
                raise self._session_lost(self._lost)
            self._check_order(at)
            batch = self._batch(frame)
            request = self._core.request(task, self._model, self._version, batch)
            sent = replace(request, parameters=self._parameters(start=self._last is None))
            self._lost = GIVEN_UP  # unless an answer says otherwise
            try:
                answer = yield from self._core.persistence.once(Infer(sent, deadline.remaining()))
            except Fault as fault:
                raise (yield from self._failed(fault, request, frame, deadline)) from None
            try:
                (result,) = task.results(answer.arrays, batch.given)
            except (
                InvalidInput
            ) as error:  # another model than the Card's answers, such as one that replaced it
                self._core.forget_card(self._model, self._version)
                self._lost = str(error)
                raise self._session_lost(self._lost) from None
            self._lost = None
            self._last, self._size, self._at = request, batch.size, at
            self.answered += 1
            self._done[self.answered] = result
            return result

    def end(self, deadline: Deadline) -> Steps[None]:
        """Let the server forget the session: the last frame again, as the protocol has no other way."""
        if self._over or not self._turn.acquire(blocking=False):
            return
        try:
            self._over = True
            if self._last is not None and self._lost is None:
                last = replace(self._last, parameters=self._parameters(start=False, end=True))
                yield from self._core.persistence.once(Infer(last, deadline.remaining()))
        except Fault:
            pass  # then it forgets it later, as idle
        finally:
            self._turn.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(blocking=False):
            raise InvalidInput(
                "this session is waiting for its last frame's answer, and takes one frame at a time: give "
                "each thread or task a session of its own"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _parameters(self, *, start: bool, end: bool = False) -> dict[str, int | bool]:
        return {"sequence_id": self._number, "sequence_start": start, "sequence_end": end}

    def _check_order(self, at: float | None) -> None:
        if at is not None and self._at is not None and not at > self._at:
            raise InvalidInput(
                f"the frame of {at} comes after that of {self._at}: a session takes its frames in order; "
                "sort them, or begin another"
            )

    def _batch(self, frame: ImageItem) -> Batch:
        """The frame as it is sent: all of a session by the road of its first."""
        if self._last is None:
            self._files = self._core.takes_file(self._model, self._version, frame)
        (batch,) = batches([frame], self.card, decode=not self._files, files=self._files)
        if batch.refused:
            raise batch.refused
        if self._size not in (None, batch.size):
            (height, width), (rows, columns) = batch.size, self._size
            raise InvalidInput(
                f"{frame.where} is {width} x {height} pixels, and this session's frames are {columns} x "
                f"{rows}: resize it, or begin another session"
            )
        return batch

    def _failed(
        self, fault: Fault, request: Request, frame: ImageItem, deadline: Deadline
    ) -> Steps[RegardError]:
        """What to tell the user of a step that failed."""
        if fault.code == "INVALID_ARGUMENT" and not says_forgotten(fault.message):
            self._lost = None  # the model has not seen the frame
            return InvalidInput(f"{frame.where}: {fault.message}")
        cause = yield from self._core.explained(fault, self._model, request.model, self._version, deadline)
        self._lost = str(cause)
        return self._session_lost(self._lost)

    def _session_lost(self, why: str) -> SessionLost:
        frames = "1 frame" if self.answered == 1 else f"{self.answered} frames"
        return SessionLost(
            f"the session with {self._model!r} is lost after {frames} ({why}); begin another, which knows "
            "nothing of the frames before",
            tuple(self._done.values()),
        )
