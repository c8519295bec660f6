"""What each protocol makes of a request and of a reply: what tritonclient itself would send and read."""

import json
import re
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2

from regard.serving.protocol.codec import Reply
from regard.serving.protocol.grpc_codec import GrpcCodec
from regard.serving.protocol.http_codec import JSON_SIZE, HttpCodec, Response, reply_of
from regard.serving.protocol.tensors import array_from, datatype_of, payload
from regard.serving.protocol.wire import Fault, Request, Span

PIXELS = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
ENCODED = np.array([[b""], [b"abc"], [bytes(300)]], dtype=np.object_)
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "pixels": PIXELS,
    "encoded": ENCODED,
    "words": np.array(["ä", "b"], dtype=np.object_),
    "fixed width": np.array([b"abc", b"de"]),
    "turned": PIXELS.transpose(0, 3, 1, 2),
    "none": np.zeros((0, 4), np.float32),
    "no bytes": np.zeros((0, 1), np.object_),
    "bfloat16": np.array([1.5, -2.0], ml_dtypes.bfloat16),
    "flags": np.array([True, False]),
}


def as_tritonclient(module: Any, array: np.ndarray[Any, Any]) -> Any:
    tensor = module.InferInput("x", list(array.shape), datatype_of(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
@pytest.mark.parametrize("outputs", [None, ("a", "b")])
def test_the_http_body_is_tritonclients(array: np.ndarray[Any, Any], outputs: tuple[str, ...] | None) -> None:
    wanted = outputs and [tritonclient.http.InferRequestedOutput(name, binary_data=True) for name in outputs]
    body, header = tritonclient.http.InferenceServerClient.generate_request_body(
        [as_tritonclient(tritonclient.http, array)], outputs=wanted
    )
    message = HttpCodec().infer(Request("m", "", {"x": array}, outputs)).message
    size = int(message.headers["Inference-Header-Content-Length"])
    header = len(body) if header is None else header  # no bytes follow
    assert json.loads(message.body[:size]) == json.loads(body[:header])
    assert message.body[size:] == body[header:]
    assert (message.method, message.path) == ("POST", "/v2/models/m/infer")


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_the_grpc_message_holds_what_tritonclients_holds(array: np.ndarray[Any, Any]) -> None:
    theirs = as_tritonclient(tritonclient.grpc, array)
    message = GrpcCodec().infer(Request("m", "3", {"x": array}, ("p",))).message
    ours = service_pb2.ModelInferRequest.FromString(message.body)
    assert (ours.model_name, ours.model_version, ours.outputs[0].name) == ("m", "3", "p")
    assert ours.inputs[0] == theirs._get_tensor()
    assert ours.raw_input_contents[0] == (theirs._get_content() or b"")


def test_spans_take_the_place_of_tensors() -> None:
    spans = {"image": Span("r", 64, 12), "p": Span("s", 0, 40)}
    request = Request("m", "", {"image": PIXELS}, ("p", "q"), spans)
    message = service_pb2.ModelInferRequest.FromString(GrpcCodec().infer(request).message.body)
    assert not message.raw_input_contents
    assert message.inputs[0].parameters["shared_memory_region"].string_param == "r"
    assert message.inputs[0].parameters["shared_memory_offset"].int64_param == 64
    assert message.outputs[0].parameters["shared_memory_byte_size"].int64_param == 40
    assert not message.outputs[1].parameters
    said = json.loads(HttpCodec().infer(request).message.body)
    where = {"shared_memory_region": "r", "shared_memory_offset": 64, "shared_memory_byte_size": 12}
    assert said["inputs"][0]["parameters"] == where
    assert said["outputs"][1]["parameters"] == {"binary_data": True}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_tensors_come_back_as_they_were(array: np.ndarray[Any, Any]) -> None:
    datatype = datatype_of(array.dtype)
    assert datatype is not None
    again = array_from(payload(array).tobytes(), datatype, array.shape)
    expected = [each.encode() if isinstance(each, str) else each for each in array.ravel().tolist()]
    assert again.shape == array.shape
    assert again.ravel().tolist() == expected


def test_control_says_the_same_in_both_protocols() -> None:
    load, unload = (GrpcCodec().load("a b", "{}").message, GrpcCodec().unload("a b").message)
    loaded = service_pb2.RepositoryModelLoadRequest.FromString(load.body)
    assert load.path.endswith("/RepositoryModelLoad")
    assert (loaded.model_name, loaded.parameters["config"].string_param) == ("a b", "{}")
    assert unload.path.endswith("/RepositoryModelUnload")
    assert service_pb2.RepositoryModelUnloadRequest.FromString(unload.body).model_name == "a b"
    load, unload = (HttpCodec().load("a b", "{}").message, HttpCodec().unload("a b").message)
    assert (load.path, json.loads(load.body)) == (
        "/v2/repository/models/a%20b/load",
        {"parameters": {"config": "{}"}},
    )
    assert unload.path == "/v2/repository/models/a%20b/unload"


def test_answers_of_both_protocols_are_read_alike() -> None:
    scores, names = np.array([[0.25, 0.75]], np.float32), np.array([[b"cat", b"dog"]], np.object_)
    request = Request("m", "", {"x": PIXELS}, None, {"map": Span("r", 0, 4)})
    contents = {"scores": payload(scores).tobytes(), "names": payload(names).tobytes()}
    message = service_pb2.ModelInferResponse()
    outputs = []
    kinds = {"scores": ("FP32", (1, 2)), "map": ("UINT8", (1, 2, 2)), "names": ("BYTES", (1, 2))}
    for name, (datatype, shape) in kinds.items():
        message.outputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_output_contents.append(contents.get(name, b""))
        size = (
            {"binary_data_size": len(contents[name])} if name in contents else {"shared_memory_region": "r"}
        )
        outputs.append({"name": name, "datatype": datatype, "shape": shape, "parameters": size})
    head = json.dumps({"outputs": outputs}).encode()
    replies = {
        GrpcCodec(): Reply(message.SerializeToString()),
        HttpCodec(): Reply(head + contents["scores"] + contents["names"], len(head)),
    }
    for codec, reply in replies.items():
        answer = codec.infer(request).parse(reply)
        np.testing.assert_array_equal(answer.arrays["scores"], scores)
        np.testing.assert_array_equal(answer.arrays["names"], names)
        assert answer.written == {"map": (np.dtype(np.uint8), (1, 2, 2))}


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "message"),
    [
        (400, {}, b'{"error": "wrong shape"}', "INVALID_ARGUMENT", "^wrong shape$"),
        (404, {}, b'{"error": "unknown model"}', "NOT_FOUND", "^unknown model$"),
        (404, {}, b"", "NOT_FOUND", "path that leads to Triton"),
        (401, {}, b"<h1>Who\n are you</h1>", "UNAUTHENTICATED", "HTTP status 401: <h1>Who are you</h1>"),
        (502, {}, b"upstream", "UNAVAILABLE", "HTTP status 502: upstream"),
        (503, {}, b'{"error": "queue"}', "UNAVAILABLE", "^queue$"),
        (
            308,
            {"Location": "https://x/"},
            b"",
            "FAILED_PRECONDITION",
            "leads to https://x/; give that address",
        ),
        (418, {}, b'["error"]', "UNKNOWN", "HTTP status 418"),
    ],
)
def test_http_statuses(status: int, headers: dict[str, str], body: bytes, code: str, message: str) -> None:
    with pytest.raises(Fault, match=code) as caught:
        reply_of(Response(status, headers, body))
    assert caught.value.code == code
    assert re.search(message, caught.value.message)


def test_the_time_that_is_left_goes_along() -> None:
    request = Request("m", "", {"x": np.zeros((1, 2), np.uint8)})
    said = service_pb2.ModelInferRequest.FromString(GrpcCodec().infer(request, 0.25).message.body)
    assert said.parameters["timeout"].int64_param == 250_000
    for outputs in (None, ("p",)):
        message = HttpCodec().infer(replace(request, outputs=outputs), 1e-9).message
        head = message.body[: int(message.headers[JSON_SIZE])]
        assert json.loads(head)["parameters"]["timeout"] == 1  # 0 would be no limit
