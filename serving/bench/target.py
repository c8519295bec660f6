"""What is measured: a served model, its Card, and the prepared requests of every worker."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from multiprocessing.shared_memory import SharedMemory
from typing import Literal

import numpy as np

from regard.contract.card import Card, card_from_json
from regard.contract.names import ANSWERS, CARD_PARAMETER, ENCODED_IMAGE, IMAGE, IMAGE_ENDPOINT
from regard.errors import InvalidInput
from regard.serving.bench.images import batches, pixels_of, sample_images
from regard.serving.bench.load import RequestFailed, Worker
from regard.serving.bench.transport import Region, Request, TensorIn, TensorOut, Transport, bytes_tensor
from regard.serving.bench.triton_times import Snapshot, composing_models, snapshot

Endpoint = Literal["image", "tensor"]


@dataclass(frozen=True)
class Target:
    """A model on a server, and how its requests look."""

    transport: Transport
    model: str  # as Triton knows it: with _image for the image endpoint
    card: Card
    steps: tuple[str, ...]  # an ensemble's composing models
    endpoint: Endpoint
    batch: int
    images: tuple[bytes, ...]
    shared_memory: bool

    def snapshot(self) -> Snapshot:
        """Triton's statistics now."""
        return snapshot({name: self.transport.statistics(name) for name in (self.model, *self.steps)})


def find_target(
    transport: Transport,
    model: str,
    *,
    endpoint: Endpoint,
    batch: int,
    images: Sequence[bytes] | None,
    shared_memory: bool,
) -> Target:
    """Ask the server about `model` (without _image) and choose its endpoint.

    images: encoded; None stands for those that come with regard and fit the Card.

    Raises:
        UnknownName: the server does not serve it.
        ServerError: no server answers.
        InvalidInput: a model without a Card, or images that do not fit.
    """
    name = model + IMAGE_ENDPOINT if endpoint == "image" else model
    config = transport.config(name)
    text = config.get("parameters", {}).get(CARD_PARAMETER, {}).get("string_value")
    if text is None:
        raise InvalidInput(
            f"{name!r} carries no Card in its configuration; bench measures what `regard repo add` wrote."
        )
    card = card_from_json(text, source=f"the Card of the served model {name!r}")
    chosen = tuple(images if images is not None else sample_images(card))
    batches(chosen, card, batch)  # refuses early what cannot be batched
    return Target(
        transport, name, card, tuple(composing_models(config)), endpoint, batch, chosen, shared_memory
    )


@contextmanager
def workers(target: Target, count: int) -> Iterator[list[Worker[Request]]]:
    """Prepared requests for so many workers; shared memory is registered before and gone afterwards."""
    tensors = [_tensor(target, group) for group in batches(target.images, target.card, target.batch)]
    wanted = ANSWERS[target.card.task]
    with ExitStack() as stack:
        if not target.shared_memory:
            requests = [
                target.transport.request(target.model, [tensor], [TensorOut(wanted)]) for tensor in tensors
            ]
            yield [Worker(target.transport.sender(), requests) for _ in range(count)]
            return
        contents = [tensor.data for tensor in tensors if isinstance(tensor.data, bytes)]
        inputs = stack.enter_context(_region(target.transport, sum(map(len, contents))))
        room = max(
            _answer_bytes(target, group) for group in batches(target.images, target.card, target.batch)
        )
        outputs = stack.enter_context(_region(target.transport, room * count))
        buffer = inputs.buf
        assert buffer is not None  # it is open
        offset, placed = 0, []
        for tensor, content in zip(tensors, contents, strict=True):
            buffer[offset : offset + len(content)] = content
            placed.append(
                TensorIn(
                    tensor.name, tensor.datatype, tensor.shape, Region(inputs.name, offset, len(content))
                )
            )
            offset += len(content)
        yield [
            Worker(
                target.transport.sender(),
                [
                    target.transport.request(
                        target.model, [tensor], [TensorOut(wanted, Region(outputs.name, worker * room, room))]
                    )
                    for tensor in placed
                ],
            )
            for worker in range(count)
        ]


def probe(worker: Worker[Request], model: str) -> tuple[int, int]:
    """Send each request once; returns the mean bytes of a request and of a response.

    Raises:
        InvalidInput: the server refuses one, so that measuring makes no sense.
    """
    try:
        received = [worker.send(body) for body in worker.bodies]
    except RequestFailed as failure:
        raise InvalidInput(
            f"{model!r} refuses a first request ({failure}); mend that before measuring."
        ) from None
    return round(np.mean([len(body.body) for body in worker.bodies])), round(np.mean(received))


def _tensor(target: Target, group: Sequence[bytes]) -> TensorIn:
    if target.endpoint == "image":
        return TensorIn(ENCODED_IMAGE, "BYTES", (len(group), 1), bytes_tensor(group))
    pixels = np.stack([pixels_of(image, target.card) for image in group])
    return TensorIn(IMAGE, "UINT8", pixels.shape, pixels.tobytes())


def _answer_bytes(target: Target, group: Sequence[bytes]) -> int:
    if target.card.task == "classification":
        return 4 * len(group) * len(target.card.output.labels)
    return sum(prod(pixels_of(image, target.card).shape[:2]) for image in group)


@contextmanager
def _region(transport: Transport, size: int) -> Iterator[SharedMemory]:
    memory = SharedMemory(f"regard_bench_{os.getpid()}_{uuid.uuid4().hex[:8]}", create=True, size=size)
    try:
        transport.register(memory.name, size)
        try:
            yield memory
        finally:
            transport.unregister(memory.name)
    finally:
        memory.close()
        memory.unlink()
