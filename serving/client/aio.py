"""The client for asyncio. The same as `sync.Client`, awaited; everything but the waiting is shared."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from regard.contract.card import Card
from regard.contract.results import Classification, Pose, Segmentation, Text, Token
from regard.errors import RegardError
from regard.serving.client.base import IN_FLIGHT, BaseClient, raised
from regard.serving.client.batches import batches
from regard.serving.client.core import raw_request
from regard.serving.client.questions import Given
from regard.serving.client.sessions import AsyncSession
from regard.serving.client.steps import Infer, Pause, ReadConfig, ReadIndex, Register, Step, Steps, Unregister
from regard.serving.client.streams import broken, stream_request, token_of
from regard.serving.client.tasks import Task
from regard.serving.client.version import Version, written
from regard.serving.protocol.address import Address
from regard.serving.protocol.connect import connect_async
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Array, AsyncTransport, Fault, Outputs

T = TypeVar("T")


class AsyncClient(
    BaseClient[
        AsyncTransport,
        Awaitable[list[Classification]],
        Awaitable[list[Classification | RegardError]],
        AsyncIterator[Classification],
        AsyncIterator[Classification | RegardError],
        Awaitable[list[Segmentation]],
        Awaitable[list[Segmentation | RegardError]],
        AsyncIterator[Segmentation],
        AsyncIterator[Segmentation | RegardError],
        Awaitable[list[Text]],
        AsyncIterator[Text],
        Awaitable[list[Pose]],
        AsyncIterator[Pose],
        Awaitable[list[Classification] | list[Text]],
    ]
):
    """Ask a Triton server without blocking the event loop.

        async with AsyncClient() as client:
            results = await client.classify("se_resnet50", ["cat.jpg", "dog.jpg"])
            async for result in client.classify("se_resnet50", endless_generator()):
                ...

    Arguments and errors are those of `regard.Client`. Cancelling the task ends the waiting. An
    AsyncClient belongs to one event loop; files are read and images fitted in a thread beside it.
    """

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Unlink the shared memory and close the connections; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._carried_out(self._core.farewell())
        await self._transport.close()

    async def ready(self) -> bool:
        """Whether a server answers and calls itself ready, which NVIDIA's container does with all its models
        loaded and `regard serve` as soon as it answers; never raises.
        """
        try:
            return await self._transport.ready(timeout=self._timeout)
        except Fault:
            return False

    async def card(self, model: str, *, version: Version = "", timeout: float | None = None) -> Card:
        """The Card of a model on the server: its input, its labels, its origin."""
        return await self._run(self._core.card(model, written(version), self._deadline(timeout)))

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        outputs: Iterable[str] | None = None,
        *,
        version: Version = "",
        timeout: float | None = None,
    ) -> Outputs:
        """Tensors in, tensors out, by name; the batch is the first axis. outputs: the names wanted, by
        default all.
        """
        request = raw_request(model, written(version), inputs, None if outputs is None else tuple(outputs))
        return await self._run(self._core.infer(request, self._deadline(timeout)))

    def session(self, model: str, *, version: Version = "", timeout: float | None = None) -> AsyncSession:
        """A session with a model that remembers, as `Client.session`: entered by `async with`, its results
        come by `async for`.
        """
        return AsyncSession(self._session(model, version), self._run, lambda: self._deadline(timeout))

    async def stream(
        self, model: str, inputs: Any, *, version: Version = "", timeout: float | None = None
    ) -> AsyncGenerator[Token, None]:
        """The answer to one question, word by word, as `Client.stream`, for `async for`."""
        deadline = self._deadline(timeout)
        steps = stream_request(self._core, model, written(version), Given.of(inputs), deadline)
        request = await self._run(steps)
        received: list[Token] = []
        try:
            async with aclosing(self._transport.stream(request, timeout=deadline.remaining())) as answers:
                async for answer in answers:
                    received.append(token_of(answer))
                    yield received[-1]
        except Fault as fault:
            raise await self._run(broken(self._core, fault, request, received, deadline)) from None

    @staticmethod
    def _connect(address: Address, credentials: Credentials) -> AsyncTransport:
        return connect_async(address, credentials)

    def _answers(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        given: Given,
        on_error: str,
        version: str,
        timeout: float | None,
    ) -> Any:
        if given.stream:
            return self._results(make, model, given, on_error, version, lambda: self._deadline(timeout))
        deadline = self._deadline(timeout)
        return _gathered(self._results(make, model, given, on_error, version, lambda: deadline))

    async def _results(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        given: Given,
        on_error: str,
        version: str,
        deadline: Callable[[], Deadline],
    ) -> AsyncIterator[T | RegardError]:
        task = await self._run(self._core.task(make, model, version, deadline()))
        questions, decode = given.questions(task.card), self._core.decodes(model, version)
        prepared = batches(questions, task.card, decode=decode)
        pending: deque[asyncio.Task[list[T | RegardError]]] = deque()
        try:
            while (batch := await asyncio.to_thread(next, prepared, None)) is not None:
                steps = self._core.predict(task, model, version, batch, deadline())
                pending.append(asyncio.create_task(self._run(steps)))
                while pending and (len(pending) >= IN_FLIGHT or pending[0].done()):
                    for result in raised(await pending[0], on_error):
                        yield result
                    pending.popleft()
            while pending:
                for result in raised(await pending[0], on_error):
                    yield result
                pending.popleft()
        finally:
            for running in pending:
                running.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _run(self, steps: Steps[T]) -> T:
        """Carry out the steps of an open client."""
        self._check_open()
        return await self._carried_out(steps)

    async def _carried_out(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._carry_out(step)
                except Fault as fault:
                    step = steps.throw(fault)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _carry_out(self, step: Step) -> Any:
        match step:
            case Infer(request, timeout):
                return await self._transport.infer(request, timeout=timeout)
            case ReadConfig(model, version, timeout):
                return await self._transport.config(model, version, timeout=timeout)
            case ReadIndex(timeout):
                return await self._transport.index(timeout=timeout)
            case Register(region, timeout):
                return await self._transport.register(region.name, region.key, region.size, timeout=timeout)
            case Unregister(name, timeout):
                return await self._transport.unregister(name, timeout=timeout)
            case Pause(seconds):
                return await asyncio.sleep(seconds)


async def _gathered(results: AsyncIterator[T]) -> list[T]:
    return [result async for result in results]
