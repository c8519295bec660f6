"""A transport without a server, and both clients behind one call."""

import asyncio
import io
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from regard.contract.card import Card, card_from_mapping
from regard.contract.preprocess import BadImage, decode, fit
from regard.serving.client.aio import AsyncClient
from regard.serving.client.retry import Retry
from regard.serving.client.sync import Client
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.wire import Answer, Fault, Request

QUICK = Retry(first=0.001, longest=0.002, unmet=0.02)


def make_card(task: str = "classification", **changes: Any) -> Card:
    """Ten classes; 8 x 8 pixels, or any size for a segmenter."""
    dynamic = {"resize": "none", "dynamic_size": True, "min_size": 4, "max_size": 64}
    contract = {"height": 8, "width": 8, "resize": "stretch", "max_batch": 4} | (
        dynamic if task == "segmentation" else {}
    )
    fields = {
        "name": "net",
        "inputs": [{"kind": "image"} | contract],
        "answer": {
            "kind": "label_map" if task == "segmentation" else "classes",
            "labels": [f"class {index}" for index in range(10)],
        },
        "origin": {"builder": "net"},
    }
    return card_from_mapping(fields | changes, source="the test's Card")


def plain(shade: int, height: int = 8, width: int = 8) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An image of one grey, which the fake server takes for class `shade`."""
    return np.full((height, width, 3), shade, np.uint8)


def png(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", **options)
    return stream.getvalue()


def half() -> bytes:
    """The first half of a PNG file."""
    whole = png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    return whole[: len(whole) // 2]


def bomb() -> bytes:
    """A PNG file that promises 30000 x 30000 pixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(90001)))
        + chunk(b"IEND", b"")
    )


class FakeTransport:
    """Answers as a server would that takes each image's first red value for its class.

    faults: raised by the next inferences, one each; None lets one through. delay: seconds each inference
        takes.
    """

    def __init__(self, card: Card | None = None) -> None:
        self.card = card or make_card()
        self.config_text = self.card.model_dump_json(exclude={"certificates", "tools"})
        self.classes = len(self.card.answer.labels)
        self.endpoints = ("net", "net_image")
        self.outputs = ("probabilities",)
        self.faults: list[Fault | None] = []
        self.register_fault: Fault | None = Fault("INTERNAL", "cannot open the region")
        self.delay = 0.0
        self.requests: list[Request] = []
        self.configs = 0
        self.registered: set[str] = set()
        self.cancelled = 0
        self.closed = False
        self.running = self.most_running = 0
        self.lock = threading.Lock()

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer:
        with self.lock:
            self.requests.append(request)
            self.running += 1
            self.most_running = max(self.running, self.most_running)
            fault = self.faults.pop(0) if self.faults else None
        try:
            cancellation.wait(min(self.delay, timeout))
            if cancellation.cancelled:
                self.cancelled += 1
                raise Fault("CANCELLED", "cancelled")
            if self.delay > timeout:
                raise Fault("DEADLINE_EXCEEDED", "late")
            if fault:
                raise fault
            return Answer(self.answer(request))
        finally:
            with self.lock:
                self.running -= 1

    def answer(self, request: Request) -> dict[str, Any]:
        if request.model not in self.endpoints:
            raise Fault("NOT_FOUND", f"unknown model {request.model}")
        if request.model == "net_image":
            contract = self.card.input
            try:
                pixels = np.stack(
                    [
                        fit(
                            decode(data),
                            resize=contract.resize,
                            height=contract.height,
                            width=contract.width,
                            interpolation="bilinear",
                            crop=1,
                        )
                        for data in request.inputs["encoded_image"][:, 0]
                    ]
                )
            except BadImage as error:
                raise Fault("INVALID_ARGUMENT", str(error)) from None
        else:
            pixels = request.inputs["image"]
        if self.card.task == "segmentation":
            return {"label_map": pixels[..., 0] % self.classes}
        answer = {"probabilities": np.eye(self.classes, dtype=np.float32)[pixels[:, 0, 0, 0] % self.classes]}
        if "class_activation_map" in (request.outputs or ()):
            answer["class_activation_map"] = pixels[..., 0].astype(np.float32)
        return answer

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        self.configs += 1
        if model not in self.endpoints or version not in ("", "1"):
            raise Fault("NOT_FOUND", f"unknown model {model} {version}")
        return {
            "parameters": {"card": {"string_value": self.config_text}},
            "output": [{"name": name} for name in self.outputs],
        }

    def index(self, *, timeout: float) -> list[dict[str, str]]:
        ready = [
            {"name": name, "version": "1", "state": "READY"}
            for name in (*self.endpoints, "former", "former_image", "former_preprocess")
        ]
        return [*ready, {"name": "slow", "version": "1", "state": "LOADING"}]

    def ready(self, *, timeout: float) -> bool:
        return True

    def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        if self.register_fault:
            raise self.register_fault
        self.registered.add(region)

    def unregister(self, region: str, *, timeout: float) -> None:
        self.registered.discard(region)

    def close(self) -> None:
        self.closed = True


class FakeAsyncTransport:
    """The same, awaited."""

    def __init__(self, fake: FakeTransport) -> None:
        self.fake = fake

    async def infer(self, request: Request, *, timeout: float) -> Answer:
        delay, self.fake.delay = self.fake.delay, 0.0
        try:
            try:
                await asyncio.sleep(min(delay, timeout))
            except asyncio.CancelledError:
                self.fake.cancelled += 1
                raise
            if delay > timeout:
                raise Fault("DEADLINE_EXCEEDED", "late")
        finally:
            self.fake.delay = delay
        self.fake.delay = 0.0
        try:
            return self.fake.infer(request, timeout=timeout, cancellation=Cancellation())
        finally:
            self.fake.delay = delay

    async def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        return self.fake.config(model, version, timeout=timeout)

    async def index(self, *, timeout: float) -> list[dict[str, str]]:
        return self.fake.index(timeout=timeout)

    async def ready(self, *, timeout: float) -> bool:
        return self.fake.ready(timeout=timeout)

    async def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        self.fake.register(region, key, size, timeout=timeout)

    async def unregister(self, region: str, *, timeout: float) -> None:
        self.fake.unregister(region, timeout=timeout)

    async def close(self) -> None:
        self.fake.close()


Ask = Callable[..., Any]


def ask_sync(
    fake: FakeTransport, method: str, *args: Any, client: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """One call of a Client; a stream is drained into a list."""
    with Client(transport=fake, **({"retry": QUICK} | dict(client or {}))) as asking:
        answer = getattr(asking, method)(*args, **options)
        return list(answer) if isinstance(answer, Iterator) else answer


def ask_async(
    fake: FakeTransport, method: str, *args: Any, client: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """One call of an AsyncClient, in a loop of its own."""

    async def ask() -> Any:
        async with AsyncClient(
            transport=FakeAsyncTransport(fake), **({"retry": QUICK} | dict(client or {}))
        ) as asking:
            answer = getattr(asking, method)(*args, **options)
            return [result async for result in answer] if hasattr(answer, "__aiter__") else await answer

    return asyncio.run(ask())
