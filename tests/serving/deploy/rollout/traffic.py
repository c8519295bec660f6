"""Constant load through a gateway, over both protocols and without retries: each request is accounted for."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from tests.serving.deploy.local_gateway import Gateway
from tests.serving.deploy.rollout.models import Labels, answer

from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault, Request

PAUSE = 0.01  # seconds between a client's requests


@dataclass(frozen=True)
class Answered:
    """A request: when it was sent (time.monotonic), and the bias that answered; None where none did."""

    sent: float
    bias: int | None
    fault: str | None = None


@dataclass
class Traffic:
    """What the clients saw so far."""

    records: list[Answered] = field(default_factory=list)

    @property
    def lost(self) -> list[Answered]:
        return [record for record in self.records if record.fault is not None]

    @property
    def wrong(self) -> list[Answered]:
        return [record for record in self.records if record.fault is None and record.bias is None]

    def biases(self, since: float, until: float = float("inf")) -> set[int | None]:
        """Who answered what was sent in a span of time."""
        return {record.bias for record in self.records if since <= record.sent < until}


@contextmanager
def traffic(gateway: Gateway, biases: tuple[int, ...]) -> Iterator[Traffic]:
    """Ask for `largest` during the block: tensors over gRPC and HTTP, and files over both."""
    image = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "PNG")
    requests = (
        Request("largest", "", {"image": image}),
        Request("largest_image", "", {"encoded_image": np.array([[file.getvalue()]], np.object_)}),
    )
    expected = {bias: answer(image, bias) for bias in biases}
    seen, stop = Traffic(), threading.Event()
    credentials = Credentials(ca=gateway.ca, api_key=gateway.api_key)
    connections = [connect(address_of(url), credentials) for url in (gateway.url, gateway.grpc_url)]
    threads = [
        threading.Thread(target=_ask, args=(connection, request, expected, seen, stop))
        for connection in connections
        for request in requests
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()


def _ask(
    connection: Connection,
    request: Request,
    expected: dict[int, Labels],
    seen: Traffic,
    stop: threading.Event,
) -> None:
    while not stop.wait(PAUSE):
        sent = time.monotonic()
        try:
            found = connection.infer(request, timeout=30).arrays["label_map"]
        except Fault as fault:
            seen.records.append(Answered(sent, None, str(fault)))
            continue
        bias = next((bias for bias, wanted in expected.items() if np.array_equal(found, wanted)), None)
        seen.records.append(Answered(sent, bias))
