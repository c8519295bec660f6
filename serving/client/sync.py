"""The client for ordinary code: it blocks, and may be shared by threads."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from regard.contract.card import Card
from regard.contract.results import Classification, Pose, Segmentation, Text, Token
from regard.errors import RegardError
from regard.serving.client.base import IN_FLIGHT, BaseClient, raised
from regard.serving.client.batches import batches
from regard.serving.client.core import raw_request
from regard.serving.client.questions import Given
from regard.serving.client.sessions import Session
from regard.serving.client.steps import Infer, Pause, ReadConfig, ReadIndex, Register, Step, Steps, Unregister
from regard.serving.client.streams import broken, stream_request, token_of
from regard.serving.client.tasks import Task
from regard.serving.client.version import Version, written
from regard.serving.protocol.address import Address
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Array, Fault, Outputs, Request, Transport

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
        list[Text],
        Iterator[Text],
        list[Pose],
        Iterator[Pose],
        list[Classification] | list[Text],
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

    def session(self, model: str, *, version: Version = "", timeout: float | None = None) -> Session:
        """A session with a model that remembers: the frames of one video, in order.

            with client.session("streets") as session:
                for segmentation in session.segment("frames/"):
                    ...

        Args:
            model: its name on the server, or that of its endpoint for images.
            version: of the model; by default the server's choice, the latest.
            timeout: seconds for each frame, in place of the client's own.

        Entering it raises InvalidInput where the model keeps no state.
        """
        return Session(self._session(model, version), self._run, lambda: self._deadline(timeout))

    def stream(
        self, model: str, inputs: Any, *, version: Version = "", timeout: float | None = None
    ) -> Generator[Token, None, None]:
        """The answer to one question, word by word as the model says it; closing it ends the waiting, and
        over HTTP the model's saying, too.

            for token in client.stream("dates", "the third of may 2021"):
                print(token.text, end="", flush=True)

        Args:
            model: its name on the server.
            inputs: as of `ask`, for one question.
            version: of the model; by default the server's choice, the latest.
            timeout: seconds for the whole answer, in place of the client's own.

        Raises:
            InvalidInput: the model does not answer in words; a bad question.
            StreamBroken: it broke off, with the words that had come. It is never asked again by itself.
        """
        deadline = self._deadline(timeout)
        steps = stream_request(self._core, model, written(version), Given.of(inputs), deadline)
        return self._tokens(self._run(steps), deadline)

    def _tokens(self, request: Request, deadline: Deadline) -> Generator[Token, None, None]:
        received: list[Token] = []
        try:
            with closing(self._transport.stream(request, timeout=deadline.remaining())) as answers:
                for answer in answers:
                    received.append(token_of(answer))
                    yield received[-1]
        except Fault as fault:
            raise self._run(broken(self._core, fault, request, received, deadline)) from None

    @staticmethod
    def _connect(address: Address, credentials: Credentials) -> Transport:
        return connect(address, credentials)

    def _answers(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        given: Given,
        on_error: str,
        version: str,
        timeout: float | None,
    ) -> Any:
        deadline = self._deadline(timeout)
        task = self._run(self._core.task(make, model, version, deadline))
        if given.stream:
            return self._results(task, model, version, given, on_error, lambda: self._deadline(timeout))
        return list(self._results(task, model, version, given, on_error, lambda: deadline))

    def _results(
        self,
        task: Task[T],
        model: str,
        version: str,
        given: Given,
        on_error: str,
        deadline: Callable[[], Deadline],
    ) -> Iterator[T | RegardError]:
        cancellation = Cancellation()
        pending: deque[Future[list[T | RegardError]]] = deque()
        workers = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="regard-client")
        try:
            questions, decode = given.questions(task.card), self._core.decodes(model, version)
            for batch in batches(questions, task.card, decode=decode):
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
