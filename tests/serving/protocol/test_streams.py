"""Answers that come in parts: what is sent, what is read, and where they break off."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tests.serving.protocol.test_connections import answering, whole_request
from tritonclient.grpc import service_pb2

from regard.serving.protocol.address import address_of
from regard.serving.protocol.codec import Reply
from regard.serving.protocol.connect import connect, connect_async
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_codec import GrpcCodec
from regard.serving.protocol.http_codec import HttpCodec
from regard.serving.protocol.server_sent_events import Events
from regard.serving.protocol.wire import Fault, Request

SEQUENCE = {"sequence_id": 2**63 - 1, "sequence_start": True, "sequence_end": False, "said": "a"}
TEXTS = {"question": np.array([["what is ä".encode()]], np.object_)}
FILE = np.array([[b"\xff\xd8 no text"]], np.object_)
QUESTION = Request("m_stream", "", TEXTS, ("token",), parameters={"number": 3})
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_parameters_of_every_kind_say_the_same_in_both_protocols() -> None:
    request = Request("m", "", TEXTS, None, parameters=SEQUENCE)
    message = service_pb2.ModelInferRequest.FromString(GrpcCodec().infer(request).message.body)
    found = {
        key: getattr(each, str(each.WhichOneof("parameter_choice")))
        for key, each in message.parameters.items()
    }
    assert found == SEQUENCE
    assert [type(value) for value in found.values()] == [type(SEQUENCE[key]) for key in found]
    sent = HttpCodec().infer(request).message
    size = int(sent.headers["Inference-Header-Content-Length"])
    assert json.loads(sent.body[:size])["parameters"].items() >= SEQUENCE.items()


def test_a_question_in_json() -> None:
    request = Request("m_stream", "1", TEXTS | {"encoded_image": FILE}, parameters={"number": 3})
    message = HttpCodec().stream(request).message
    assert message.path == "/v2/models/m_stream/versions/1/generate_stream"
    assert json.loads(message.body) == {
        "question": "what is ä",
        "encoded_image": "data:image/file;base64,/9ggbm8gdGV4dA==",
        "parameters": {"number": 3},
    }
    clip = Request("m_stream", "", {"encoded_image": np.array([[b"\xff", b"\xfe"]], np.object_)})
    assert json.loads(HttpCodec().stream(clip).message.body) == {
        "encoded_image": ["data:image/file;base64,/w==", "data:image/file;base64,/g=="]
    }


def test_a_part_in_json() -> None:
    said = {"model_name": "m", "model_version": "1", "token": 4, "text": " ä", "scores": [0.5, 1]}
    answer = HttpCodec().stream(QUESTION).parse(Reply(json.dumps(said).encode()))
    assert answer is not None
    assert answer.arrays["token"].tolist() == [4]
    assert answer.arrays["text"].tolist() == [" ä".encode()]
    assert answer.arrays["scores"].tolist() == [0.5, 1]
    with pytest.raises(Fault, match="out of words"):
        HttpCodec().stream(QUESTION).parse(Reply(b'{"error": "out of words"}'))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 100])
def test_events_whose_chunks_end_anywhere(length: int) -> None:
    whole = b'data: {"a": 1}\r\n\r\n: a comment\n\ndata: {"b": 2}\n\ndata: {"c'
    events = Events()
    chunks = [whole[start : start + length] for start in range(0, len(whole), length)]
    found = [event for chunk in chunks for event in events.whole_in(chunk)]
    assert [json.loads(event) for event in found] == [{"a": 1}, {"b": 2}]


# servers of a few lines


def event(token: int) -> bytes:
    data = f'data: {{"token": {token}}}\n\n'.encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextmanager
def http_server(*parts: bytes) -> Iterator[str]:
    def answer(near: socket.socket) -> None:
        whole_request(near)
        for part in parts:
            near.sendall(part)

    with answering(answer) as url:
        yield f"http://{url}"


def part(token: int) -> Any:
    response = service_pb2.ModelInferResponse(raw_output_contents=[np.int64(token).tobytes()])
    response.outputs.add(name="token", datatype="INT64", shape=[1])
    return service_pb2.ModelStreamInferResponse(infer_response=response)


@contextmanager
def grpc_server(answers: Callable[[grpc.ServicerContext], Iterator[Any]]) -> Iterator[str]:
    method = grpc.stream_stream_rpc_method_handler(
        lambda requests, context: answers(context),
        response_serializer=lambda message: message.SerializeToString(),
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handler = {"ModelStreamInfer": method}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handler),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def drained(
    url: str,
    *,
    asynchronous: bool,
    most: int = 9,
    timeout: float = 60,
    closed: threading.Event | None = None,
) -> tuple[list[int], Fault | None]:
    """The numbers that come, at most so many, and what ended them.

    closed: set once the stream is closed, and before the connection is.
    """
    closed = closed or threading.Event()
    found: list[int] = []
    address = address_of(url, None)

    def blocking() -> None:
        connection = connect(address, Credentials())
        stream = connection.stream(QUESTION, timeout=timeout)
        try:
            while len(found) < most:
                found.append(int(next(stream).arrays["token"][0]))
        except StopIteration:
            pass
        finally:
            stream.close()
            closed.set()
            connection.close()

    async def awaited() -> None:
        connection = connect_async(address, Credentials())
        stream = connection.stream(QUESTION, timeout=timeout)
        try:
            while len(found) < most:
                found.append(int((await anext(stream)).arrays["token"][0]))
        except StopAsyncIteration:
            pass
        finally:
            await stream.aclose()
            closed.set()
            await connection.close()

    try:
        asyncio.run(awaited()) if asynchronous else blocking()
    except Fault as fault:
        return found, fault
    return found, None


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both
def test_parts_to_the_end(asynchronous: bool) -> None:
    with http_server(HEAD + event(1)[:9], event(1)[9:], event(2) + b"0\r\n\r\n") as url:
        assert drained(url, asynchronous=asynchronous) == ([1, 2], None)

    def answers(_: grpc.ServicerContext) -> Iterator[Any]:
        yield from (part(1), part(2))
        yield service_pb2.ModelStreamInferResponse(infer_response=service_pb2.ModelInferResponse())

    with grpc_server(answers) as url:
        assert drained(url, asynchronous=asynchronous) == ([1, 2], None)


@both
def test_a_connection_that_is_lost_between_two_parts(asynchronous: bool) -> None:
    with http_server(HEAD, event(1)) as url:
        found, fault = drained(url, asynchronous=asynchronous)
    assert found == [1]
    assert fault is not None
    assert (fault.code, fault.answered) == ("UNAVAILABLE", False)


@both
def test_errors_between_two_parts(asynchronous: bool) -> None:
    error = b'data: {"error": "no memory"}\n\n'
    with http_server(HEAD, event(1), b"%x\r\n%s\r\n0\r\n\r\n" % (len(error), error)) as url:
        found, fault = drained(url, asynchronous=asynchronous)
    assert (found, str(fault)) == ([1], "UNKNOWN: no memory")

    def aborts(context: grpc.ServicerContext) -> Iterator[Any]:
        yield part(1)
        context.abort(grpc.StatusCode.INTERNAL, "no memory")

    def tells(_: grpc.ServicerContext) -> Iterator[Any]:
        yield part(1)
        yield service_pb2.ModelStreamInferResponse(error_message="no memory")

    for answers, code in ((aborts, "INTERNAL"), (tells, "UNKNOWN")):
        with grpc_server(answers) as url:
            found, fault = drained(url, asynchronous=asynchronous)
        assert (found, str(fault)) == ([1], f"{code}: no memory")


@both
def test_a_refusal_before_the_first_part(asynchronous: bool) -> None:
    body = b'{"error": "the text is empty"}'
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body)
    with http_server(head + body) as url:
        found, fault = drained(url, asynchronous=asynchronous)
    assert (found, str(fault)) == ([], "INVALID_ARGUMENT: the text is empty")


@both
def test_closing_over_http_breaks_the_connection(asynchronous: bool) -> None:
    ended = futures.Future[bool]()

    def endless(near: socket.socket) -> None:
        whole_request(near)
        near.sendall(HEAD)
        try:
            while True:
                near.sendall(event(1))
        except OSError:
            ended.set_result(True)

    with answering(endless) as url:
        assert drained(f"http://{url}", asynchronous=asynchronous, most=3) == ([1, 1, 1], None)
        assert ended.result(60)


@both
def test_closing_over_grpc_cancels_nothing(asynchronous: bool) -> None:
    """A cancellation may end Triton (docs/decisions/0062): the rest is read, and dropped."""
    closed, ended = threading.Event(), futures.Future[bool]()

    def slow(context: grpc.ServicerContext) -> Iterator[Any]:
        yield from (part(1), part(2))
        assert closed.wait(60)
        yield part(3)
        ended.set_result(context.is_active())

    with grpc_server(slow) as url:
        assert drained(url, asynchronous=asynchronous, most=2, closed=closed) == ([1, 2], None)
        assert ended.result(60)


@both
def test_a_part_that_does_not_come(asynchronous: bool) -> None:
    done = threading.Event()

    def silent(_: grpc.ServicerContext) -> Iterator[Any]:
        yield part(1)
        done.wait(60)

    with grpc_server(silent) as url:
        found, fault = drained(url, asynchronous=asynchronous, timeout=0.2, closed=done)
    assert fault is not None
    assert fault.code == "DEADLINE_EXCEEDED"
    assert found in ([1], [])  # on a slow machine the time is over before the first


def test_closing_the_channel_ends_an_awaited_stream() -> None:
    done = threading.Event()

    def silent(_: grpc.ServicerContext) -> Iterator[Any]:
        yield part(1)
        done.wait(60)

    async def run(url: str) -> None:
        connection = connect_async(address_of(url, None), Credentials())
        stream = connection.stream(QUESTION, timeout=600)
        assert int((await anext(stream)).arrays["token"][0]) == 1
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(Fault, match="cancelled"):
            await waiting
        done.set()

    with grpc_server(silent) as url:
        asyncio.run(asyncio.wait_for(run(url), 120))
