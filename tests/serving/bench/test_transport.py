"""Prepared requests: what tritonclient itself would send, byte for byte where it has a public way to say
so.
"""

import json

import numpy as np
import pytest
import tritonclient.http
from tritonclient.grpc import service_pb2
from tritonclient.utils import serialize_byte_tensor

from regard.errors import ServerError
from regard.serving.bench.load import RequestFailed
from regard.serving.bench.transport import (
    GrpcTransport,
    HttpTransport,
    Region,
    TensorIn,
    TensorOut,
    Transport,
    bytes_tensor,
    connect,
)
from regard.serving.triton.ports import free_ports

PIXELS = TensorIn("image", "UINT8", (1, 2, 2, 3), bytes(range(12)))


def test_a_bytes_tensor_is_serialized_as_triton_does() -> None:
    elements = [b"", b"abc", bytes(300)]
    assert bytes_tensor(elements) == serialize_byte_tensor(np.array(elements, dtype=np.object_)).item()


def test_the_http_body_says_what_tritonclients_says() -> None:
    tensor = tritonclient.http.InferInput("image", [1, 2, 2, 3], "UINT8")
    tensor.set_data_from_numpy(np.frombuffer(bytes(range(12)), np.uint8).reshape(1, 2, 2, 3))
    body, header = tritonclient.http.InferenceServerClient.generate_request_body(
        [tensor], outputs=[tritonclient.http.InferRequestedOutput("label_map", binary_data=True)]
    )
    ours = HttpTransport("127.0.0.1:1", 1.0).request("m", [PIXELS], [TensorOut("label_map")])
    assert json.loads(ours.body[: ours.header]) == json.loads(body[:header])
    assert ours.body[ours.header :] == body[header:]


def test_the_grpc_message_holds_the_tensor_or_its_region() -> None:
    transport = GrpcTransport("127.0.0.1:1", 1.0)
    message = service_pb2.ModelInferRequest.FromString(
        transport.request("m", [PIXELS], [TensorOut("p")]).body
    )
    assert (message.model_name, list(message.inputs[0].shape), message.raw_input_contents[0]) == (
        "m",
        [1, 2, 2, 3],
        PIXELS.data,
    )
    shared = TensorIn("image", "UINT8", (1, 2, 2, 3), Region("r", 64, 12))
    message = service_pb2.ModelInferRequest.FromString(
        transport.request("m", [shared], [TensorOut("p", Region("s", 0, 40))]).body
    )
    assert not message.raw_input_contents
    assert message.inputs[0].parameters["shared_memory_region"].string_param == "r"
    assert message.inputs[0].parameters["shared_memory_offset"].int64_param == 64
    assert message.outputs[0].parameters["shared_memory_byte_size"].int64_param == 40
    transport.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_is_not_there(protocol: str) -> None:
    url = f"127.0.0.1:{free_ports(1)[0]}"
    transport: Transport = connect(protocol, url, 2.0)
    with pytest.raises(ServerError, match=f"no Triton answers {protocol} at {url}"):
        transport.config("m")
    request = transport.request("m", [PIXELS], [TensorOut("p")])
    with pytest.raises(RequestFailed):
        transport.sender()(request)
    transport.close()
