"""The client for asyncio. The same as `sync.Client`, awaited; everything but the waiting is shared."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from regard.contract.card import Card
from regard.contract.results import Classification, Segmentation
from regard.errors import RegardError
from regard.serving.client.base import IN_FLIGHT, BaseClient, raised
from regard.serving.client.batches import batches
from regard.serving.client.core import raw_request
from regard.serving.client.images import ImageLike, Images, is_stream, items
from regard.serving.client.steps import Infer, Pause, ReadConfig, ReadIndex, Register, Step, Steps, Unregister
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

    @staticmethod
    def _connect(address: Address, credentials: Credentials) -> AsyncTransport:
        return connect_async(address, credentials)

    def _answers(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        images: Images | Iterator[ImageLike],
        on_error: str,
        version: str,
        timeout: float | None,
    ) -> Any:
        if is_stream(images):
            return self._results(make, model, images, on_error, version, lambda: self._deadline(timeout))
        deadline = self._deadline(timeout)
        return _gathered(self._results(make, model, images, on_error, version, lambda: deadline))

    async def _results(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        images: Images | Iterator[ImageLike],
        on_error: str,
        version: str,
        deadline: Callable[[], Deadline],
    ) -> AsyncIterator[T | RegardError]:
        task = make(await self._run(self._core.card(model, version, deadline())))
        prepared = batches(items(images), task.card, decode=self._core.decodes(model, version))
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
