"""Whatever is sent, the answer says what is wrong with the right code, and the server keeps serving."""

import gzip
import http.client
import io
import json
import struct
import zlib
from pathlib import Path
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


def bomb(columns: int = 30_000, rows: int = 30_000) -> bytes:
    """A PNG whose header claims columns x rows pixels, in a few bytes."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
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


@pytest.mark.parametrize("shape", [(1, 31, 64, 3), (1, 64, 257, 3), (1, 0, 64, 3)])
def test_tensors_outside_the_segmenters_sizes(served: Any, connect: Any, shape: tuple[int, ...]) -> None:
    with connect(served.grpc_url) as infer:
        status, message = refused(infer, served.segmenter, np.zeros(shape, np.uint8))
    assert (status, "32 to 256" in message or "no elements" in message) == (INVALID, True)


def test_images_of_one_request_that_differ_in_size(served: Any, connect: Any) -> None:
    with connect(served.grpc_url) as infer:
        images = files(whole(size=(40, 40)), whole(size=(40, 48)))
        status, message = refused(infer, f"{served.segmenter}_image", images, input="encoded_image")
    assert (status, "share a size" in message) == (INVALID, True)


def post(served: Any, path: str, body: Any, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(served.http_url, timeout=60)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", f"/v2/models/{path.format(model=served.classifier)}", content, named)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def image(shape: list[Any], data: list[Any], **rest: Any) -> dict[str, Any]:
    tensor = {"name": "image", "shape": shape, "datatype": "UINT8", "data": data}
    return {"inputs": [tensor | rest]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("{model}/infer", image([1, 2], [1, 2]), 400),
        ("nobody/infer", {"inputs": []}, 404),
        ("{model}/versions/99/infer", {"inputs": []}, 404),
        ("{model}/infer", image([1, 28, 28, 3], [1] * 2352), 200),
        ("{model}/infer", image([1, 28, 28, 3], [256] * 2352), 400),
        ("{model}/infer", image([1, 28, 28, 3], [1] * 2351), 400),
        ("{model}/infer", image([4611686018427387904, 1, 1, 1], [1]), 400),  # it ended the server
        ("{model}/infer", image([1000000, 28, 28, 3], [1]), 400),  # it took 3.3 GB
        ("{model}/infer", b"[" * 1_000_000, 400),  # it ended the server
        ("{model}/infer", image([1, 28, 28, 3], [1] * 2352, datatype=None), 400),
        ("{model}/infer", b"no JSON", 400),
    ],
    ids=[
        "shape",
        "model",
        "version",
        "good",
        "256",
        "short",
        "overflow",
        "large",
        "deep",
        "datatype",
        "text",
    ],
)
def test_http_codes(served: Any, path: str, body: Any, status: int) -> None:
    assert post(served, path, body)[0] == status


def test_a_small_body_that_unpacks_to_gigabytes(served: Any) -> None:
    """It took 5 GB, one of which stayed."""
    body = gzip.compress(bytes(50 * 2**20))
    status, words = post(served, "{model}/infer", body, Content_Encoding="gzip")
    assert (status, "Content-Encoding" in words) == (415, True)


def test_a_bad_image_over_http_is_the_callers_fault(served: Any) -> None:
    raw = {"Inference_Header_Content_Length": "0", "Content_Type": "application/octet-stream"}
    status, words = post(served, "{model}_image/infer", b"not an image", **raw)
    assert (status, "not a JPEG" in words) == (400, True)


def test_a_large_body_as_curl_sends_it_by_itself(served: Any) -> None:
    """As a form, which ended the server from 4 MB on."""
    form = {"Inference_Header_Content_Length": "0", "Content_Type": "application/x-www-form-urlencoded"}
    status, words = post(served, "{model}_image/infer", bytes(6 * 2**20), **form)
    assert (status, "not a JPEG" in words) == (400, True)


def test_a_strip_of_an_image_is_refused_before_it_is_decoded(served: Any) -> None:
    raw = {"Inference_Header_Content_Length": "0"}
    status, words = post(served, "{model}_image/infer", bomb(1, 50_000_000), **raw)
    assert (status, "1 x 50000000" in words) == (400, True)


def test_tritons_own_http_is_open_to_the_front_alone(served: Any) -> None:
    told = Path(f"/proc/{served.pid}/cmdline").read_text().split("\0")
    (port,) = (int(each.partition("=")[2]) for each in told if each.startswith("--http-port="))
    for method, path in (
        ("GET", "/v2"),
        ("GET", "/v2/health/ready"),
        ("GET", f"/v2/models/{served.classifier}"),
        ("GET", f"/v2/models/{served.classifier}/config"),
        ("GET", "/v2/models/stats"),
        ("POST", f"/v2/models/{served.classifier}/infer"),
        ("POST", f"/v2/models/{served.classifier}/generate"),
        ("POST", "/v2/logging"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/repository/index"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, headers={"regard-front": "a guess"})
        response = connection.getresponse()
        assert (response.status, b"restricted" in response.read()) == (403, True), path
        connection.close()
