"""Every kind of input and answer on a real server, by networks of a few nodes: texts and frames beside
images, words one by one, and what of them is refused.
"""

import io
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serving.triton import tiny_families

from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Fault, Request
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A server of all of them; each has answered its goldens at every endpoint, or it would not be served."""
    folder = tmp_path_factory.mktemp("families")
    with pytest.MonkeyPatch.context() as patch:
        adding = sys.modules["regard.serving.repository.add"]
        patch.setattr(adding, "cut", tiny_families.steps_of_counting)
        for make in (tiny_families.asking, tiny_families.watching, tiny_families.counting_down):
            add(make(folder / make.__name__), folder / "repository", instances=1)
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository", http_port=http, grpc_port=grpc, metrics_port=metrics
    ) as running:
        yield running


@pytest.fixture(scope="module")
def ask(server: EmbeddedTriton) -> Ask:
    """`ask(model, output, **inputs)`: the answer."""

    def infer(model: str, output: str, **inputs: Any) -> Any:
        request = Request(model, "", {name: tensor(value) for name, value in inputs.items()})
        return server.connection.infer(request, timeout=60).arrays[output]

    return infer


def tensor(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "S" else array


def png(*colour: int, side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_a_question_beside_an_image(ask: Ask) -> None:
    """The mean colour times the sum of the words' numbers."""
    pixels = np.array([np.full((8, 8, 3), colour, np.uint8) for colour in (RED, BLUE)])
    scores = np.array([[3, 0, 0], [0, 0, 10]])
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    numbers = ask("asking", "probabilities", image=pixels, question=[[1, 2, 0, 0], [1, 2, 3, 4]])
    texts = [[b"What colour?"], [b"what colour is it"]]
    words = ask("asking_image", "probabilities", encoded_image=[[png(*RED)], [png(*BLUE)]], question=texts)
    np.testing.assert_allclose(numbers, expected, atol=1e-6)
    np.testing.assert_array_equal(words, numbers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"what color", "does not know the word 'color' of 5: the nearest are 'colour'"),
        (b" ?! ", "the text is empty: it has no word"),
        (b"what is what is what", "the text has 5 words, the model takes up to 4: shorten it"),
        (b"caf\xe9", "is not UTF-8"),
    ],
    ids=["unknown", "empty", "overlong", "latin"],
)
def test_a_question_that_cannot_be_read(ask: Ask, text: bytes, words: str) -> None:
    with pytest.raises(Fault, match="INVALID_ARGUMENT") as caught:
        ask("asking_image", "probabilities", encoded_image=[[png(*RED)]], question=[[text]])
    assert "input 'question'" in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([[1, 5]], "holds the number 5, and the Card has words 0 to 4"),
        ([[-1, 1]], "holds the number -1"),
        ([[1] * 5], "has 5 words, and the model takes up to 4"),
        ([[0, 0]], "a text of padding alone"),
    ],
)
def test_numbers_that_are_no_words(ask: Ask, numbers: Any, words: str) -> None:
    with pytest.raises(Fault, match="INVALID_ARGUMENT") as caught:
        ask("asking", "probabilities", image=np.zeros((1, 8, 8, 3), np.uint8), question=numbers)
    assert words in caught.value.message


def test_a_question_without_its_image(ask: Ask) -> None:
    with pytest.raises(Fault, match="expected 2 inputs but got 1"):
        ask("asking_image", "probabilities", question=[[b"what"]])


def test_the_frames_of_a_clip(ask: Ask) -> None:
    """The class is the frame that is most red."""
    clip = [png(*RED), png(*BLUE), png(100, 0, 0)]
    found = ask("watching_image", "probabilities", encoded_image=[clip, clip[::-1]])
    assert found.argmax(axis=1).tolist() == [0, 2]
    with pytest.raises(Fault, match="INVALID_ARGUMENT.*expected"):
        ask("watching_image", "probabilities", encoded_image=[clip[:2]])
    with pytest.raises(Fault, match="image 2 of the request: the 8 bytes are not"):
        ask("watching_image", "probabilities", encoded_image=[[*clip[:2], b"no image"]])


def test_an_answer_in_words(ask: Ask) -> None:
    texts = [[b"one, three"], [b"four"]]
    assert ask("counting_text", "text", tokens=texts).tolist() == [
        [b"three two one"],
        [b"four three two one"],
    ]
    assert ask("counting_text", "sequence", tokens=texts).tolist() == [[4, 3, 2, 1, 0, 0], [5, 4, 3, 2, 1, 0]]
    assert ask("counting", "sequence", tokens=[[4]]).tolist() == [[4, 3, 2, 1, 0, 0]]


@pytest.fixture(params=["gRPC", "HTTP"])
def connection(request: pytest.FixtureRequest, server: EmbeddedTriton) -> Iterator[Connection]:
    from regard.serving.protocol.address import address_of
    from regard.serving.protocol.connect import connect
    from regard.serving.protocol.credentials import Credentials

    url = server.grpc_url if request.param == "gRPC" else f"http://{server.http_url}"
    with closing(connect(address_of(url), Credentials())) as opened:
        yield opened


def words_of(connection: Connection, text: bytes, *, most: int = 100) -> list[tuple[bytes, int, float]]:
    request = Request("counting_stream", "", {"tokens": tensor([[text]])})
    found = []
    with closing(connection.stream(request, timeout=60)) as answers:
        for answer in answers:
            word = [answer.arrays[name].item() for name in ("text", "token", "log_probability")]
            found.append((word[0], word[1], word[2]))
            if len(found) == most:
                break
    return found


def test_words_one_by_one(connection: Connection) -> None:
    """Put together they are the answer."""
    expected = [(b"four", 5, -1), (b" three", 4, -1), (b" two", 3, -1), (b" one", 2, -1)]
    assert words_of(connection, b"one four") == expected


def test_a_stream_that_is_left_or_refused_harms_no_other(connection: Connection) -> None:
    assert words_of(connection, b"four", most=1) == [(b"four", 5, -1)]
    with pytest.raises(Fault, match="the model takes up to 4"):
        words_of(connection, b"one one one one one")
    assert len(words_of(connection, b"two")) == 2


def test_words_for_curl(server: EmbeddedTriton) -> None:
    """As server-sent events, through the front."""
    request = urllib.request.Request(
        f"http://{server.http_url}/v2/models/counting_stream/generate_stream",
        json.dumps({"tokens": "two"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers.get_content_type() == "text/event-stream"
        events = answer.read().decode().split("\n\n")[:-1]
    assert [json.loads(event.removeprefix("data: "))["text"] for event in events] == ["two", " one"]
