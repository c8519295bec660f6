"""The client for asyncio. The same as `sync.Client`, awaited; everything but the waiting is shared."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, overload

from regard.contract.card import Card
from regard.errors import RegardError
from regard.serving.client.address import checked_url, is_loopback
from regard.serving.client.batches import batches
from regard.serving.client.core import (
    Core,
    Infer,
    Pause,
    ReadConfig,
    ReadIndex,
    Register,
    Step,
    Steps,
    raw_request,
)
from regard.serving.client.deadline import Deadline, checked_timeout
from regard.serving.client.images import ImageLike, Images, is_stream, items
from regard.serving.client.regions import Regions
from regard.serving.client.results import Classification, Segmentation
from regard.serving.client.retry import Retry
from regard.serving.client.sync import FAREWELL, IN_FLIGHT, check_on_error, raised
from regard.serving.client.tasks import Classify, Segment, Task
from regard.serving.client.wire import Array, AsyncTransport, Fault, Outputs

T = TypeVar("T")


class AsyncClient:
    """Ask a Triton server without blocking the event loop.

        async with AsyncClient() as client:
            results = await client.classify("se_resnet50", ["cat.jpg", "dog.jpg"])
            async for result in client.classify("se_resnet50", endless_generator()):
                ...

    Arguments and errors are those of `regard.Client`. Cancelling the task cancels what is under way. An
    AsyncClient belongs to one event loop; files are read and images fitted in a thread beside it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: Literal["grpc", "http"] = "grpc",
        timeout: float = 30.0,
        shared_memory: bool | None = None,
        headers: Mapping[str, str] | None = None,
        retry: Retry | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout)
        self._url = checked_url(url, protocol)
        share = is_loopback(self._url) if shared_memory is None else shared_memory
        self._core = Core(self._url, retry or Retry(), Regions(share), insist=shared_memory is True)
        self._transport = transport or _connect(self._url, protocol, headers or {})
        self._closed = False

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Unlink the shared memory and close the connections; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        for region in self._core.regions.close():
            with contextlib.suppress(Fault):
                await self._transport.unregister(region, timeout=FAREWELL)
        await self._transport.close()

    async def ready(self) -> bool:
        """Whether a server answers and has all its models loaded; never raises."""
        try:
            return await self._transport.ready(timeout=self._timeout)
        except Fault:
            return False

    async def card(self, model: str, *, version: str = "", timeout: float | None = None) -> Card:
        """The Card of a model on the server: its input, its labels, its origin."""
        return await self._run(self._core.card(model, version, self._deadline(timeout)))

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        outputs: Iterable[str] | None = None,
        *,
        version: str = "",
        timeout: float | None = None,
    ) -> Outputs:
        """Tensors in, tensors out, by name; the batch is the first axis. outputs: the names wanted, by
        default all.
        """
        request = raw_request(model, version, inputs, None if outputs is None else tuple(outputs))
        return await self._run(self._core.infer(request, self._deadline(timeout)))

    @overload
    def classify(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        top_k: int = 5,
        on_error: Literal["raise"] = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[Classification]: ...
    @overload
    def classify(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        top_k: int = 5,
        on_error: Literal["return"],
        version: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[Classification | RegardError]: ...
    @overload
    def classify(
        self,
        model: str,
        images: Images,
        *,
        top_k: int = 5,
        on_error: Literal["raise"] = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> Awaitable[list[Classification]]: ...
    @overload
    def classify(
        self,
        model: str,
        images: Images,
        *,
        top_k: int = 5,
        on_error: Literal["return"],
        version: str = "",
        timeout: float | None = None,
    ) -> Awaitable[list[Classification | RegardError]]: ...
    def classify(
        self,
        model: str,
        images: Images | Iterator[ImageLike],
        *,
        top_k: int = 5,
        on_error: str = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> Any:
        """The class of each image, in the images' order: awaited as a list, or iterated for an iterator. See
        `Client.classify`.
        """
        return self._predict(lambda card: Classify(card, top_k), model, images, on_error, version, timeout)

    @overload
    def segment(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        on_error: Literal["raise"] = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[Segmentation]: ...
    @overload
    def segment(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        on_error: Literal["return"],
        version: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[Segmentation | RegardError]: ...
    @overload
    def segment(
        self,
        model: str,
        images: Images,
        *,
        on_error: Literal["raise"] = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> Awaitable[list[Segmentation]]: ...
    @overload
    def segment(
        self,
        model: str,
        images: Images,
        *,
        on_error: Literal["return"],
        version: str = "",
        timeout: float | None = None,
    ) -> Awaitable[list[Segmentation | RegardError]]: ...
    def segment(
        self,
        model: str,
        images: Images | Iterator[ImageLike],
        *,
        on_error: str = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> Any:
        """The class of each pixel of each image; images, order and errors as in `classify`."""
        return self._predict(Segment, model, images, on_error, version, timeout)

    def _predict(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        images: Images | Iterator[ImageLike],
        on_error: str,
        version: str,
        timeout: float | None,
    ) -> Any:
        check_on_error(on_error)
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
        prepared = batches(items(images), task.card, decode=bool(version))
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

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline.after(self._timeout if timeout is None else timeout)

    async def _run(self, steps: Steps[T]) -> T:
        """Carry out the steps."""
        if self._closed:
            raise RuntimeError("this AsyncClient is closed; make a new one")
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
            case Pause(seconds):
                return await asyncio.sleep(seconds)


async def _gathered(results: AsyncIterator[T]) -> list[T]:
    return [result async for result in results]


def _connect(url: str, protocol: str, headers: Mapping[str, str]) -> AsyncTransport:
    if protocol == "grpc":
        from regard.serving.client.grpc_transport import AsyncGrpcTransport

        return AsyncGrpcTransport(url, headers)
    from regard.serving.client.http_transport import AsyncHttpTransport

    return AsyncHttpTransport(url, headers)
