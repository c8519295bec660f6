"""What is measured: a served model, its Card, and the prepared requests of every worker."""

import os
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regard.contract.card import Card
from regard.contract.names import ENCODED_IMAGE, IMAGE, IMAGE_ENDPOINT, TEXT_ENDPOINT
from regard.errors import InvalidInput
from regard.serving.bench.asked import asked
from regard.serving.bench.images import batches, pixels_of, sample_images
from regard.serving.bench.load import Worker
from regard.serving.bench.texts import MOST, drawn_texts
from regard.serving.bench.triton_times import Snapshot, composing_models, snapshot
from regard.serving.client.session_core import HIGHEST
from regard.serving.client.tasks import task_for
from regard.serving.protocol.card import served_card
from regard.serving.protocol.codec import Message
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.explain import explained
from regard.serving.protocol.tensors import payload
from regard.serving.protocol.wire import Fault, Request, Span
from regard.serving.text_files import Texts, read_texts

Endpoint = Literal["image", "tensor"]
TIMEOUT = 60.0  # seconds for one request; a saturated server is slow, not dead
RELEASE = 10.0  # seconds; Triton lets go of a request's memory only after it has answered


@dataclass(frozen=True)
class Target:
    """A model on a server, and how its requests look."""

    connection: Connection
    model: str  # as it was asked for
    name: str  # of its endpoint on the server: with _image for the image endpoint
    card: Card
    steps: tuple[str, ...]  # an ensemble's composing models
    endpoint: Endpoint
    batch: int
    images: tuple[bytes, ...]
    shared_memory: bool
    texts: tuple[Texts, ...] = ()

    @property
    def questions(self) -> int:
        """How many there are to send."""
        return max(len(self.images), len(self.texts))

    def snapshot(self) -> Snapshot:
        """Triton's statistics now."""
        found = {}
        for name in (self.name, *self.steps):
            with explained(self.connection, self.model, endpoint=name, timeout=TIMEOUT):
                found[name] = self.connection.statistics(name, timeout=TIMEOUT)
        return snapshot(found)

    def requests(self) -> list[Request]:
        """All of them, one for each question.

        Raises:
            InvalidInput: they cannot be batched.
        """
        card, files = self.card, self.endpoint == "image"
        if [kind.kind for kind in card.inputs] == ["image"]:
            return [self.request(group) for group in batches(self.images, card, self.batch)]
        task = task_for(card)
        wanted = (task.answer.tensor, *(each for each in task.extras if each in card.answer.tensors()))
        return [
            Request(self.name, "", batch.raw() if files else batch.tensors(), wanted)
            for batch in asked(card, self.images, self.texts, size=self.batch, files=files)
        ]

    def request(self, encoded: Sequence[bytes]) -> Request:
        """What asks for the answers to a batch of images."""
        wanted = (self.card.answer.tensor,)
        if self.endpoint == "image":
            column = np.array([[image] for image in encoded], dtype=np.object_)
            return Request(self.name, "", {ENCODED_IMAGE: column}, wanted)
        pixels = np.stack([pixels_of(image, self.card) for image in encoded])
        return Request(self.name, "", {IMAGE: pixels}, wanted)


def find_target(
    connection: Connection,
    model: str,
    *,
    endpoint: Endpoint,
    batch: int,
    images: Sequence[bytes] | None,
    shared_memory: bool,
    texts: Path | None = None,
) -> Target:
    """Ask the server about a model and choose its endpoint.

    model: its name, or that of its endpoint for images or texts.
    endpoint: "image" is that of files and texts.
    images: encoded; None stands for those that come with regard and fit the Card.
    texts: a file of them; None stands for words drawn from the Card's vocabulary.

    Raises:
        ServerUnreachable, InferenceError, UnknownName: as the client does.
        InvalidInput: a model without a Card, or images that do not fit.
    """
    name, config = _endpoint(connection, model, endpoint)
    card = served_card(config, name)
    chosen = () if card.pixels is None else tuple(images if images is not None else sample_images(card))
    words: list[Texts] = []
    if card.texts:
        words = drawn_texts(card) if texts is None else read_texts(texts, card)[:MOST]
    steps = tuple(composing_models(config))
    target = Target(
        connection, model, name, card, steps, endpoint, batch, chosen, shared_memory, tuple(words)
    )
    target.requests()  # refuses early what cannot be batched
    return target


def _endpoint(connection: Connection, model: str, endpoint: Endpoint) -> tuple[str, Mapping[str, Any]]:
    """The name of a model's endpoint, and its configuration."""
    base = model.removesuffix(IMAGE_ENDPOINT).removesuffix(TEXT_ENDPOINT)
    first, *others = [base + IMAGE_ENDPOINT, base + TEXT_ENDPOINT] if endpoint == "image" else [base]
    for name in others:
        try:
            return name, connection.config(name, "", timeout=TIMEOUT)
        except Fault:
            continue
    with explained(connection, model, endpoint=first, timeout=TIMEOUT):
        return first, connection.config(first, "", timeout=TIMEOUT)


@contextmanager
def workers(target: Target, count: int) -> Iterator[list[Worker[Message]]]:
    """Prepared requests for so many workers; shared memory is registered before and gone afterwards."""
    connection, requests = target.connection, target.requests()
    with ExitStack() as stack:
        if not target.shared_memory:
            prepared = [connection.prepare(request) for request in requests]
            yield [Worker(connection.sender(TIMEOUT), prepared) for _ in range(count)]
            return
        contents = [payload(array) for request in requests for array in request.inputs.values()]
        inputs = stack.enter_context(_region(target, sum(content.nbytes for content in contents)))
        room = max(_answer_bytes(target, image) for image in target.images or (b"",))
        outputs = stack.enter_context(_region(target, room * count))
        buffer = inputs.buf
        assert buffer is not None  # it is open
        offset, placed = 0, []
        for request, content in zip(requests, contents, strict=True):
            buffer[offset : offset + content.nbytes] = content.data
            (name,) = request.inputs
            placed.append(replace(request, spans={name: Span(inputs.name, offset, content.nbytes)}))
            offset += content.nbytes
        answer = target.card.answer.tensor
        yield [
            Worker(
                connection.sender(TIMEOUT),
                [
                    connection.prepare(
                        replace(
                            request, spans={**request.spans, answer: Span(outputs.name, worker * room, room)}
                        )
                    )
                    for request in placed
                ],
            )
            for worker in range(count)
        ]


@contextmanager
def session_workers(target: Target, count: int) -> Iterator[list[Worker[Message]]]:
    """Prepared steps for so many sessions, each of which goes through all images and begins again."""
    connection, requests = target.connection, target.requests()
    last = len(requests) - 1
    prepared = []
    for _ in range(count):
        number = 1 + secrets.randbelow(HIGHEST)
        steps = [
            replace(
                request,
                parameters={
                    "sequence_id": number,
                    "sequence_start": place == 0,
                    "sequence_end": place == last,
                },
            )
            for place, request in enumerate(requests)
        ]
        bodies = [connection.prepare(step) for step in steps]
        prepared.append(Worker(connection.sender(TIMEOUT), bodies, in_order=True))
    yield prepared


def probe(worker: Worker[Message], model: str) -> tuple[int, int]:
    """Send each request once; returns the mean bytes of a request and of a response.

    Raises:
        InvalidInput: the server refuses one, so that measuring makes no sense.
    """
    try:
        received = [worker.send(message) for message in worker.bodies]
    except Fault as fault:
        raise InvalidInput(
            f"{model!r} refuses a first request ({fault}); mend that before measuring."
        ) from None
    return round(np.mean([len(message.body) for message in worker.bodies])), round(np.mean(received))


def _answer_bytes(target: Target, image: bytes) -> int:
    """Of a batch that begins with an image, all of whose images have its size."""
    height, width = pixels_of(image, target.card).shape[:2] if image else (0, 0)
    return target.card.answer.nbytes(target.batch, height, width)


@contextmanager
def _region(target: Target, size: int) -> Iterator[SharedMemory]:
    connection = target.connection
    memory = SharedMemory(f"regard_bench_{os.getpid()}_{uuid.uuid4().hex[:8]}", create=True, size=size)
    try:
        with explained(connection, target.model, timeout=TIMEOUT):
            connection.register(memory.name, f"/{memory.name}", size, timeout=TIMEOUT)
        try:
            yield memory
        finally:
            with explained(connection, target.model, timeout=TIMEOUT):
                _unregister(connection, memory.name)
    finally:
        memory.close()
        memory.unlink()


def _unregister(connection: Connection, region: str) -> None:
    """Let go of a region once no request is using it; raises Fault."""
    deadline = time.monotonic() + RELEASE
    while True:
        try:
            return connection.unregister(region, timeout=TIMEOUT)
        except Fault as fault:
            if "currently in use" not in fault.message or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
