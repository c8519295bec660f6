"""The client for ordinary code: it blocks, and may be shared by threads."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar, overload

from regard.contract.card import Card
from regard.errors import InvalidInput, RegardError
from regard.serving.client.address import checked_url, is_loopback
from regard.serving.client.batches import batches
from regard.serving.client.cancellation import Cancellation
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
from regard.serving.client.tasks import Classify, Segment, Task
from regard.serving.client.wire import Array, Fault, Outputs, Transport

T = TypeVar("T")

IN_FLIGHT = 4  # requests of one call under way at the same time
FAREWELL = 2.0  # seconds for the server to forget shared memory when the client closes


class Client:
    """Ask a Triton server that holds a repository written by regard.

        with Client() as client:
            for result in client.classify("se_resnet50", ["cat.jpg", "dog.jpg"]):
                print(result.label, result.probability)

    Args:
        url: the server's host:port; by default this machine, at the protocol's usual port.
        protocol: "grpc" or "http".
        timeout: seconds for a whole call, retries included; for a stream of images, for each request.
        shared_memory: hand large tensors to a server on this machine through /dev/shm. None does so where the
            address is loopback and the server agrees; True raises InvalidInput where it refuses; False never
            does.
        headers: sent with every call, such as those that a restricted server asks for.
        retry: how often and how slowly to try again.
        transport: replaces the connection, for tests and measurements.

    Every call raises ServerUnreachable, InferenceError or InvalidInput, all of them RegardError.
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
        transport: Transport | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout)
        self._url = checked_url(url, protocol)
        share = is_loopback(self._url) if shared_memory is None else shared_memory
        self._core = Core(self._url, retry or Retry(), Regions(share), insist=shared_memory is True)
        self._transport = transport or _connect(self._url, protocol, headers or {})
        self._closed = False

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlink the shared memory and close the connections; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        for region in self._core.regions.close():
            with contextlib.suppress(Fault):
                self._transport.unregister(region, timeout=FAREWELL)
        self._transport.close()

    def ready(self) -> bool:
        """Whether a server answers and has all its models loaded; never raises."""
        try:
            return self._transport.ready(timeout=self._timeout)
        except Fault:
            return False

    def card(self, model: str, *, version: str = "", timeout: float | None = None) -> Card:
        """The Card of a model on the server: its input, its labels, its origin."""
        return self._run(self._core.card(model, version, self._deadline(timeout)))

    def infer(
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
        return self._run(self._core.infer(request, self._deadline(timeout)))

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
    ) -> Iterator[Classification]: ...
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
    ) -> Iterator[Classification | RegardError]: ...
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
    ) -> list[Classification]: ...
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
    ) -> list[Classification | RegardError]: ...
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
        """The class of each image, in the images' order.

        Args:
            model: its name on the server.
            images: a path, the bytes of an image file, a PIL image, a uint8 array (H, W, 3) RGB or (H, W)
                grey; a directory; or a sequence of these: a list comes back. An iterator, such as a
                generator, is read as the results are asked for, and an iterator comes back; closing that one
                cancels what is under way.
            top_k: how many runners-up, the likeliest included.
            on_error: "raise" the first bad image's error, or "return" it in the image's place.
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
    ) -> Iterator[Segmentation]: ...
    @overload
    def segment(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        on_error: Literal["return"],
        version: str = "",
        timeout: float | None = None,
    ) -> Iterator[Segmentation | RegardError]: ...
    @overload
    def segment(
        self,
        model: str,
        images: Images,
        *,
        on_error: Literal["raise"] = "raise",
        version: str = "",
        timeout: float | None = None,
    ) -> list[Segmentation]: ...
    @overload
    def segment(
        self,
        model: str,
        images: Images,
        *,
        on_error: Literal["return"],
        version: str = "",
        timeout: float | None = None,
    ) -> list[Segmentation | RegardError]: ...
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
        deadline = self._deadline(timeout)
        task = make(self._run(self._core.card(model, version, deadline)))
        if is_stream(images):
            return self._results(task, model, version, images, on_error, lambda: self._deadline(timeout))
        return list(self._results(task, model, version, images, on_error, lambda: deadline))

    def _results(
        self,
        task: Task[T],
        model: str,
        version: str,
        images: Images | Iterator[ImageLike],
        on_error: str,
        deadline: Callable[[], Deadline],
    ) -> Iterator[T | RegardError]:
        cancellation = Cancellation()
        pending: deque[Future[list[T | RegardError]]] = deque()
        workers = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="regard-client")
        try:
            for batch in batches(items(images), task.card, decode=bool(version)):
                steps = self._core.predict(task, model, version, batch, deadline())
                pending.append(workers.submit(self._run, steps, cancellation))
                while pending and (len(pending) >= IN_FLIGHT or pending[0].done()):
                    yield from raised(pending.popleft().result(), on_error)
            while pending:
                yield from raised(pending.popleft().result(), on_error)
        finally:
            cancellation.cancel()
            workers.shutdown(wait=False, cancel_futures=True)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline.after(self._timeout if timeout is None else timeout)

    def _run(self, steps: Steps[T], cancellation: Cancellation | None = None) -> T:
        """Carry out the steps."""
        if self._closed:
            raise RuntimeError("this Client is closed; make a new one")
        cancellation = Cancellation() if cancellation is None else cancellation
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._carry_out(step, cancellation)
                except Fault as fault:
                    step = steps.throw(fault)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def _carry_out(self, step: Step, cancellation: Cancellation) -> Any:
        if cancellation.cancelled:
            raise Fault("CANCELLED", "the call was cancelled")
        match step:
            case Infer(request, timeout):
                return self._transport.infer(request, timeout=timeout, cancellation=cancellation)
            case ReadConfig(model, version, timeout):
                return self._transport.config(model, version, timeout=timeout)
            case ReadIndex(timeout):
                return self._transport.index(timeout=timeout)
            case Register(region, timeout):
                return self._transport.register(region.name, region.key, region.size, timeout=timeout)
            case Pause(seconds):
                return cancellation.wait(seconds)


def raised(results: list[T | RegardError], on_error: str) -> list[T | RegardError]:
    """The results; or the first error among them, raised."""
    for result in results:
        if on_error == "raise" and isinstance(result, RegardError):
            raise result
    return results


def check_on_error(on_error: str) -> None:
    """Refuse anything but "raise" and "return"."""
    if on_error not in ("raise", "return"):
        raise InvalidInput(f"on_error must be 'raise' or 'return', got {on_error!r}")


def _connect(url: str, protocol: str, headers: Mapping[str, str]) -> Transport:
    if protocol == "grpc":
        from regard.serving.client.grpc_transport import GrpcTransport

        return GrpcTransport(url, headers)
    from regard.serving.client.http_transport import HttpTransport

    return HttpTransport(url, headers)
