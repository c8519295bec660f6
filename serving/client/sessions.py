"""Sessions, as a user holds them: frames in, one after another, and results out.

`session_core.py` decides everything but the waiting.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

from regard.contract.results import Segmentation
from regard.errors import InvalidInput
from regard.serving.client.images import ImageItem, ImageLike, Images, items
from regard.serving.client.session_core import SessionCore
from regard.serving.client.steps import Steps
from regard.serving.client.tasks import Task, task_for
from regard.serving.client.videos import frames_of
from regard.serving.protocol.deadline import Deadline

T = TypeVar("T")

Frames = Images | Iterable[ImageLike]
Moments = Iterable[float] | None
FAREWELL = 2.0  # seconds that the end of a session is waited for


class Session:
    """Frames of one video, in order, to a model that remembers; see `regard.Client.session`.

    For one thread at a time.
    """

    def __init__(
        self, core: SessionCore, run: Callable[[Steps[Any]], Any], deadline: Callable[[], Deadline]
    ) -> None:
        self._core, self._run, self._deadline = core, run, deadline

    def __enter__(self) -> "Session":
        self._run(self._core.begin(self._deadline()))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._core.end(Deadline.after(FAREWELL)))

    @property
    def answered(self) -> int:
        """How many frames have a result."""
        return self._core.answered

    def segment(self, frames: Frames, *, at: Moments = None) -> Iterator[Segmentation]:
        """The class of each pixel of each frame, as it is answered.

        Args:
            frames: images, as of `Client.segment`; a folder's are in the order of the numbers in their names,
                and an animated file's in its own.
            at: when each frame is from, as times or numbers, which must rise; by default the order given is
                taken for the right one.

        Raises:
            InvalidInput: a frame that cannot be taken: damaged, of another size than those before, out of
                order, or while another is under way. The session is as it was.
            SessionLost: the server has ended the session or does not answer; with the results done.
        """
        return self._results(task_for(self._core.card, only="segmentation"), frames, at)

    def ask(self, frames: Frames, *, at: Moments = None, **options: Any) -> Iterator[Any]:
        """What the model's Card says that it answers, to each frame; options as of `Client.ask`, the rest as
        in `segment`.
        """
        return self._results(task_for(self._core.card, **options), frames, at)

    def _results(self, task: Task[T], frames: Frames, at: Moments) -> Iterator[T]:
        for frame, moment in timed(frames, at):
            yield self._run(self._core.step(task, frame, moment, self._deadline()))


class AsyncSession:
    """The same, awaited; see `regard.AsyncClient.session`. For one task at a time."""

    def __init__(
        self,
        core: SessionCore,
        run: Callable[[Steps[Any]], Awaitable[Any]],
        deadline: Callable[[], Deadline],
    ) -> None:
        self._core, self._run, self._deadline = core, run, deadline

    async def __aenter__(self) -> "AsyncSession":
        await self._run(self._core.begin(self._deadline()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._core.end(Deadline.after(FAREWELL)))

    @property
    def answered(self) -> int:
        """How many frames have a result."""
        return self._core.answered

    def segment(self, frames: Frames, *, at: Moments = None) -> AsyncIterator[Segmentation]:
        """As `Session.segment`, for `async for`."""
        return self._results(task_for(self._core.card, only="segmentation"), frames, at)

    def ask(self, frames: Frames, *, at: Moments = None, **options: Any) -> AsyncIterator[Any]:
        """As `Session.ask`, for `async for`."""
        return self._results(task_for(self._core.card, **options), frames, at)

    async def _results(self, task: Task[T], frames: Frames, at: Moments) -> AsyncIterator[T]:
        prepared = timed(frames, at)
        while (drawn := await asyncio.to_thread(next, prepared, None)) is not None:
            frame, moment = drawn
            yield await self._run(self._core.step(task, frame, moment, self._deadline()))


def timed(frames: Frames, at: Moments) -> Iterator[tuple[ImageItem, float | None]]:
    """Each frame as an item, and when it is from.

    Raises:
        InvalidInput: more frames than moments.
    """
    moments = repeat(None) if at is None else iter(at)
    if isinstance(frames, (str, os.PathLike)):
        frames = frames_of(Path(frames))
    for frame in items(frames):
        moment = next(moments, ...)
        if moment is ...:
            raise InvalidInput(f"{frame.where}: there are more frames than entries of at; give one for each")
        yield frame, moment
