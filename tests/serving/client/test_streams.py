"""Answers word by word on a transport without a server."""

import asyncio

import numpy as np
import pytest
from client_fakes import FakeTransport, ask_sync, half, plain, png
from PIL import Image
from speaking_fakes import ANSWERER, CAPTIONER, TRANSLATOR, AsyncServer, Server

from regard.contract.preprocess import decode
from regard.contract.results import Token
from regard.errors import InferenceError, InvalidInput, StreamBroken
from regard.serving.client.aio import AsyncClient
from regard.serving.client.sync import Client
from regard.serving.protocol.wire import Answer, Fault

A, RED = Token("a", 2, -0.5), Token(" red", 3, -0.25)


def word(token):
    return Answer(
        {
            "token": np.array([token.number]),
            "text": np.array([token.text.encode()], np.object_),
            "log_probability": np.array([token.log_probability], np.float32),
        }
    )


def speaking(card, *sent):
    server = Server(card, lambda inputs: {})
    server.sent = [word(each) if isinstance(each, Token) else each for each in sent]
    return server


@pytest.fixture(params=["sync", "async"])
def stream(request):
    """`stream(server, inputs)`: every word, by either client."""

    def sync(server, inputs):
        return ask_sync(server, "stream", "net", inputs)

    def awaited(server, inputs):
        async def run():
            async with AsyncClient(transport=AsyncServer(server)) as client:
                return [token async for token in client.stream("net", inputs)]

        return asyncio.run(run())

    return sync if request.param == "sync" else awaited


def test_words_come_one_by_one(stream):
    server = speaking(TRANSLATOR, A, RED)
    assert stream(server, "what colour") == [A, RED]
    (request,) = server.requests
    assert (request.model, request.outputs) == ("net_stream", ("token", "text", "log_probability"))
    assert request.inputs["tokens"].tolist() == [[b"what colour"]]


def test_images_go_as_files(stream):
    file = png(plain(1))
    for image in (file, plain(1), Image.fromarray(plain(1))):
        server = speaking(CAPTIONER, A)
        assert stream(server, image) == [A]
        ((sent,),) = server.requests[0].inputs["encoded_image"]
        np.testing.assert_array_equal(decode(sent), plain(1))


def test_an_empty_answer(stream):
    assert stream(speaking(TRANSLATOR), "it") == []


def test_a_stream_that_breaks_off_says_what_had_come(stream):
    for fault in (
        Fault("INTERNAL", "Stub process 'net_stream' is not healthy."),
        Fault("UNAVAILABLE", "it closed the connection", answered=False),
        Fault("DEADLINE_EXCEEDED", "late"),
    ):
        server = speaking(TRANSLATOR, A, RED, fault)
        with pytest.raises(StreamBroken, match="broke off after 2 words") as broken:
            stream(server, "it")
        assert broken.value.done == (A, RED)
        assert len(server.requests) == 1  # never again by itself


def test_a_stream_that_never_begins(stream):
    with pytest.raises(InferenceError, match="no memory"):
        stream(speaking(TRANSLATOR, Fault("INTERNAL", "no memory")), "it")
    server = speaking(TRANSLATOR, A)
    server.endpoints = ("net",)
    server.index = lambda *, timeout: [{"name": "net", "version": "1", "state": "READY"}]
    with pytest.raises(InvalidInput, match="served without net_stream"):
        stream(server, "it")


@pytest.mark.parametrize("code", ["NOT_FOUND", "UNIMPLEMENTED"])
def test_a_gateway_that_lets_no_streams_through(stream, code):
    server = speaking(TRANSLATOR, Fault(code, "there is nothing for you here"))

    def hidden(*, timeout):
        raise Fault(code, "there is nothing for you here")

    server.index = hidden
    with pytest.raises(InferenceError, match="passes no streams on.* ask for the whole answer"):
        stream(server, "it")


@pytest.mark.parametrize(
    ("server", "inputs", "rule"),
    [
        (FakeTransport(), plain(1), "answers at once, not word by word: call classify"),
        (Server(ANSWERER, lambda inputs: {}), plain(1), "call answer"),
        (speaking(TRANSLATOR), ["it", "is"], "answers one question, got 2"),
        (speaking(TRANSLATOR), "why", "does not know the word 'why'"),
        (speaking(CAPTIONER), b"no image", "not a JPEG"),
        (speaking(CAPTIONER), {"picture": half()}, "takes image, got picture"),
    ],
    ids=["classes", "question", "two", "unknown word", "no image", "another input"],
)
def test_what_no_stream_answers(stream, server, inputs, rule):
    with pytest.raises(InvalidInput, match=rule):
        stream(server, inputs)


def test_closing_a_stream_stops_the_server():
    server = speaking(TRANSLATOR, A, RED)
    with Client(transport=server) as client:
        words = client.stream("net", "it")
        assert next(words) == A
        assert server.stopped == 0
        words.close()
    assert server.stopped == 1


def test_closing_an_awaited_stream_stops_the_server():
    server = speaking(TRANSLATOR, A, RED)

    async def run():
        async with AsyncClient(transport=AsyncServer(server)) as client:
            words = client.stream("net", "it")
            assert await anext(words) == A
            await words.aclose()

    asyncio.run(run())
    assert server.stopped == 1
