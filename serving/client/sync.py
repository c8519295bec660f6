"""The client for ordinary code: it blocks, and may be shared by threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Array, Fault, Outputs, Transport

T = TypeVar("T")


class Client(
    BaseClient[
        Transport,
        list[Classification],
        list[Classification | RegardError],
        Iterator[Classification],
        Iterator[Classification | RegardError],
        list[Segmentation],
        list[Segmentation | RegardError],
        Iterator[Segmentation],
        Iterator[Segmentation | RegardError],
    ]
):
    """Ask a Triton server that holds a repository written by regard.

        with Client() as client:
            for result in client.classify("se_resnet50", ["cat.jpg", "dog.jpg"]):
                print(result.label, result.probability)

    Args:
        url: the server: host:port, http(s)://host/path or grpc(s)://host; by default the environment's
            REGARD_URL, or else this machine at the protocol's usual port.
        protocol: "grpc" or "http", for host:port and for this machine; gRPC by default.
        ca: file (PEM) of the authority that signed the server's certificate, in place of the system's.
        certificate: file (PEM) of the client's certificate, for a server that asks for one.
        key: file (PEM) of its private key, where the certificate's file does not hold it.
        api_key: sent with every call as `x-api-key`.
        token: sent with every call as `authorization: Bearer`.
        headers: sent with every call, such as those that a restricted server asks for.
        timeout: seconds for a whole call, a restart of the server that it waits for included; for a stream of
            images, for each request.
        shared_memory: hand large tensors to a server on this machine through /dev/shm. None does so where the
            address is loopback and the server agrees; True raises InvalidInput where it refuses; False never
            does.
        retry: how slowly to try again what passes; see `regard.serving.client.retry`.
        transport: replaces the connection, for tests and measurements.

    A remote address is reached through the environment's proxy, this machine never. Every call raises
    ServerUnreachable, InferenceError or InvalidInput, all of them RegardError.
    """

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlink the shared memory and close the connections; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._carried_out(self._core.farewell(), Cancellation())
        self._transport.close()

    def ready(self) -> bool:
        """Whether a server answers and calls itself ready, which NVIDIA's container does with all its models
        loaded and `regard serve` as soon as it answers; never raises.
        """
        try:
            return self._transport.ready(timeout=self._timeout)
        except Fault:
            return False

    def card(self, model: str, *, version: Version = "", timeout: float | None = None) -> Card:
        """The Card of a model on the server: its input, its labels, its origin."""
        return self._run(self._core.card(model, written(version), self._deadline(timeout)))

    def infer(
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
        return self._run(self._core.infer(request, self._deadline(timeout)))

    @staticmethod
    def _connect(address: Address, credentials: Credentials) -> Transport:
        return connect(address, credentials)

    def _answers(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        images: Images | Iterator[ImageLike],
        on_error: str,
        version: str,
        timeout: float | None,
    ) -> Any:
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
            for batch in batches(items(images), task.card, decode=self._core.decodes(model, version)):
                steps = self._core.predict(task, model, version, batch, deadline())
                pending.append(workers.submit(self._run, steps, cancellation))
                while pending and (len(pending) >= IN_FLIGHT or pending[0].done()):
                    yield from raised(pending.popleft().result(), on_error)
            while pending:
                yield from raised(pending.popleft().result(), on_error)
        finally:
            cancellation.cancel()
            workers.shutdown(wait=False, cancel_futures=True)

    def _run(self, steps: Steps[T], cancellation: Cancellation | None = None) -> T:
        """Carry out the steps of an open client."""
        self._check_open()
        return self._carried_out(steps, Cancellation() if cancellation is None else cancellation)

    def _carried_out(self, steps: Steps[T], cancellation: Cancellation) -> T:
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
            case Unregister(name, timeout):
                return self._transport.unregister(name, timeout=timeout)
            case Pause(seconds):
                return cancellation.wait(seconds)
