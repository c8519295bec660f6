"""Servers that are none, of models beside classifiers and segmenters: of words, points and state."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import numpy as np
from client_fakes import FakeAsyncTransport, FakeTransport, make_card

from regard.contract.card import Card
from regard.serving.client.aio import AsyncClient
from regard.serving.client.sync import Client
from regard.serving.protocol.wire import Answer, Fault, Request

COLOURS = ("<pad>", "<end>", "a", "red", "green", "blue", "square")
ASKED = ("<pad>", "what", "colour", "is", "it", "the", "sky")
IMAGE = {"kind": "image", "height": 8, "width": 8, "resize": "stretch", "max_batch": 4}
QUESTION = {"kind": "tokens", "name": "question", "vocabulary": ASKED, "unknown": None, "longest": 5}
STORY = QUESTION | {"name": "story", "sentences": 3}
SEQUENCE = {"kind": "sequence", "vocabulary": COLOURS, "longest": 4, "aligned": True}
CLASSES = {"kind": "classes", "labels": ["red", "green", "blue"]}
POINTS = {"kind": "points", "names": ["head", "foot"], "skeleton": [["head", "foot"]]}
STATE = {"tensors": [{"name": "memory", "dims": [1]}]}

CAPTIONER = make_card(inputs=[IMAGE], answer=SEQUENCE)
ANSWERER = make_card(inputs=[IMAGE, QUESTION], answer=CLASSES)
READER = make_card(inputs=[STORY, QUESTION], answer=CLASSES)
TRANSLATOR = make_card(inputs=[QUESTION | {"name": "tokens", "unknown": None}], answer=SEQUENCE)
POSER = make_card(inputs=[IMAGE | {"resize": "center_crop"}], answer=POINTS)
DRAWER = make_card(inputs=[IMAGE], answer={"kind": "image"})
WATCHER = make_card(
    inputs=[{"kind": "frames", "frames": 3} | {key: IMAGE[key] for key in ("height", "width", "resize")}],
    answer=CLASSES,
)
TRACKER = make_card("segmentation", state=STATE)


class Server(FakeTransport):
    """A server of one model, whose answers a function makes of a request's inputs."""

    def __init__(self, card: Card, answers: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__(card)
        self.endpoints = ("net", "net_image", "net_text", "net_stream")
        self.outputs = tuple(card.answer.tensors())
        self.answers = answers
        self.sent: list[Answer | Fault] = []  # of a stream
        self.stopped = 0

    def answer(self, request: Request) -> dict[str, Any]:
        if request.model not in self.endpoints:
            raise Fault("NOT_FOUND", f"unknown model {request.model}")
        every = self.answers(dict(request.inputs))
        return {name: every[name] for name in request.outputs or every}

    def stream(self, request: Request, *, timeout: float) -> Generator[Answer, None, None]:
        self.requests.append(request)
        if request.model not in self.endpoints:
            raise Fault("NOT_FOUND", f"unknown model {request.model}")
        try:
            for each in self.sent:
                if isinstance(each, Fault):
                    raise each
                yield each
        finally:
            self.stopped += 1


class Tracker(Server):
    """A model with state: of a plain image of shade s, the n-th of its session, every pixel is of class
    (s + n) mod 10. It forgets and fails as Triton and its backends do.
    """

    def __init__(self) -> None:
        super().__init__(TRACKER, lambda inputs: {})
        self.seen: dict[int, int] = {}

    def answer(self, request: Request) -> dict[str, Any]:
        number = request.parameters["sequence_id"]
        if request.parameters["sequence_start"]:
            self.seen[number] = 0
        elif number not in self.seen:
            raise Fault(
                "INVALID_ARGUMENT",
                f"inference request for sequence {number} to model 'net' must specify the START flag on the "
                "first request of the sequence",
            )
        answer = FakeTransport.answer(self, request)
        self.seen[number] += 1
        if request.parameters["sequence_end"]:
            del self.seen[number]
            return answer
        return {"label_map": (answer["label_map"] + self.seen[number] - 1) % 10}


class AsyncServer(FakeAsyncTransport):
    """The same, awaited."""

    async def stream(self, request: Request, *, timeout: float) -> AsyncGenerator[Answer, None]:
        answers = self.fake.stream(request, timeout=timeout)
        try:
            for answer in answers:
                yield answer
        finally:
            answers.close()


def tokens(*words: str) -> np.ndarray[Any, Any]:
    """A row of a sequence that says these words."""
    numbers = [COLOURS.index(word) for word in words]
    return np.array(numbers + [0] * (4 - len(numbers)))


def in_session(server: Server, use: Callable[[Any], list[Any]], asynchronous: bool, **options: Any) -> Any:
    """What `use` makes of a session's iterators, each drained into a list, by either client.

    use: is given a function that asks the session and drains what comes.
    """
    if not asynchronous:
        with Client(transport=server, **options) as client, client.session("net") as session:
            return use(lambda method, *args, **named: list(getattr(session, method)(*args, **named)))

    async def run() -> Any:
        loop = asyncio.get_running_loop()
        transport = AsyncServer(server)
        async with AsyncClient(transport=transport, **options) as client, client.session("net") as session:

            async def drained(method: str, *args: Any, **named: Any) -> list[Any]:
                return [each async for each in getattr(session, method)(*args, **named)]

            def ask(*args: Any, **named: Any) -> list[Any]:
                return asyncio.run_coroutine_threadsafe(drained(*args, **named), loop).result(60)

            return await asyncio.to_thread(use, ask)

    return asyncio.run(run())
