"""Whatever is sent, the answer says what is wrong with the right code, and the server keeps serving."""

import http.client
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import InferRequestedOutput
from tritonclient.utils import InferenceServerException

INVALID, NOT_FOUND = "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND"


@pytest.fixture(autouse=True)
def keeps_serving(served: Any, connect: Any) -> Any:
    yield
    with connect(served.grpc_url) as infer:
        answer = infer(f"{served.classifier}_image", files(whole()), input="encoded_image").as_numpy(
            "probabilities"
        )
        assert answer.sum() == pytest.approx(1, abs=1e-5)
        infer(served.segmenter, np.zeros((1, 32, 32, 3), np.uint8))


def files(*images: bytes) -> Any:
    return np.array([[image] for image in images], dtype=object)


def whole(mode: str = "RGB", size: tuple[int, int] = (40, 40), kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """A PNG whose header claims side x side pixels, in a few bytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def refused(infer: Any, *args: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        infer(*args, **options)
    return str(caught.value.status()), str(caught.value.message())


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (np.zeros((1, 28, 28, 3), np.float32), {}),  # dtype
        (np.zeros((1, 28, 29, 3), np.uint8), {}),  # shape
        (np.zeros((28, 28, 3), np.uint8), {}),  # rank
        (np.zeros((17, 28, 28, 3), np.uint8), {}),  # more than max_batch
        (np.zeros((1, 28, 28, 3), np.uint8), {"input": "picture"}),
        (np.zeros((1, 28, 28, 3), np.uint8), {"outputs": [InferRequestedOutput("logits")]}),
    ],
    ids=["dtype", "shape", "rank", "batch", "input name", "output name"],
)
def test_wrong_tensors(served: Any, connect: Any, array: Any, options: dict[str, Any]) -> None:
    with connect(served.grpc_url) as infer:
        assert refused(infer, served.classifier, array, **options)[0] == INVALID


def test_unknown_model(served: Any, connect: Any) -> None:
    with connect(served.grpc_url) as infer:
        status, message = refused(infer, "nobody", np.zeros((1, 28, 28, 3), np.uint8))
    assert (status, "nobody" in message) == (NOT_FOUND, True)


def test_unknown_version(served: Any, connect: Any) -> None:
    with connect(served.grpc_url) as infer:
        assert (
            refused(infer, served.classifier, np.zeros((1, 28, 28, 3), np.uint8), model_version="99")[0]
            == NOT_FOUND
        )


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "empty"),
        (whole()[:60], "damaged"),
        (whole(kind="JPEG")[:200], "damaged|header"),
        (b"not an image at all", "not a JPEG, PNG or WebP"),
        (whole(kind="GIF"), "not a JPEG, PNG or WebP"),
        (bomb(), "pixels"),
    ],
    ids=["empty", "truncated png", "truncated jpeg", "text", "gif", "bomb"],
)
def test_bad_images(served: Any, connect: Any, image: bytes, words: str) -> None:
    with connect(served.grpc_url) as infer:
        status, message = refused(
            infer, f"{served.classifier}_image", files(whole(), image), input="encoded_image"
        )
    assert status == INVALID
    assert "image 1 of the request" in message
    assert any(word in message for word in words.split("|"))


@pytest.mark.parametrize(
    "image",
    [whole("L"), whole("P"), whole("RGBA"), whole("I;16"), whole("CMYK", kind="JPEG"), whole(size=(1, 1))],
    ids=["grey", "palette", "alpha", "16 bit", "CMYK", "1x1"],
)
def test_unusual_images_are_served(served: Any, connect: Any, image: bytes) -> None:
    with connect(served.grpc_url) as infer:
        assert infer(f"{served.classifier}_image", files(image), input="encoded_image").as_numpy(
            "probabilities"
        ).shape == (1, 10)


@pytest.mark.parametrize("size", [(31, 64), (64, 257)])
def test_images_outside_the_segmenters_sizes(served: Any, connect: Any, size: tuple[int, int]) -> None:
    with connect(served.grpc_url) as infer:
        status, message = refused(
            infer, f"{served.segmenter}_image", files(whole(size=size)), input="encoded_image"
        )
    assert (status, "32 to 256" in message) == (INVALID, True)


def test_images_of_one_request_that_differ_in_size(served: Any, connect: Any) -> None:
    with connect(served.grpc_url) as infer:
        images = files(whole(size=(40, 40)), whole(size=(40, 48)))
        status, message = refused(infer, f"{served.segmenter}_image", images, input="encoded_image")
    assert (status, "share a size" in message) == (INVALID, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (
            "{model}",
            {"inputs": [{"name": "image", "shape": [1, 2], "datatype": "UINT8", "data": [1, 2]}]},
            400,
        ),
        ("nobody", {"inputs": []}, 404),
        ("{model}/versions/99", {"inputs": []}, 404),
    ],
)
def test_http_codes(served: Any, path: str, body: dict[str, Any], status: int) -> None:
    connection = http.client.HTTPConnection(served.http_url, timeout=30)
    try:
        connection.request(
            "POST", f"/v2/models/{path.format(model=served.classifier)}/infer", json.dumps(body)
        )
        assert connection.getresponse().status == status
    finally:
        connection.close()


def test_a_bad_image_over_http_is_the_callers_fault(served: Any) -> None:
    connection = http.client.HTTPConnection(served.http_url, timeout=30)
    try:
        raw = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
        connection.request("POST", f"/v2/models/{served.classifier}_image/infer", b"not an image", raw)
        response = connection.getresponse()
        assert (response.status, b"not a JPEG" in response.read()) == (400, True)
    finally:
        connection.close()
