"""Who is with Triton, which computes to its end what it was sent, whoever has gone meanwhile.

So of each model only as many requests are there at a time as keep its instances busy, and who goes while he
waits here is never sent.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

AHEAD = 4  # requests for each instance, or batches' worth of them, so that none waits for the front


class CallerGone(Exception):
    """Nobody is there to be answered."""


class Places:
    """Of one model.

    Args:
        most: how many requests are with Triton at a time.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken = 0
        self._waiting: deque[tuple[asyncio.Future[None], Callable[[], bool]]] = deque()

    @asynccontextmanager
    async def place(self, gone: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait for a place, first come, first served, and hold it.

        gone: whether the caller has.

        Raises:
            CallerGone: he had when it was his turn.
        """
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, gone))
        self._fill()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():  # it came in the same moment
                self._leave()
            raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._taken -= 1
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._taken < self.most:
            turn, gone = self._waiting.popleft()
            if turn.done():  # cancelled
                continue
            if gone():
                turn.set_exception(CallerGone())
                continue
            self._taken += 1
            turn.set_result(None)
