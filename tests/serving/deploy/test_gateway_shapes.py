"""What the gateway reads of an inference over gRPC: shapes that would end a model's process do not pass."""

import grpc
import pytest
from google.protobuf.internal.encoder import _VarintBytes
from tests.serving.deploy.asking import MODEL_INFER, call
from tests.serving.deploy.conftest import Guarded
from tritonclient.grpc import service_pb2 as pb

LENGTHS = 0x0A, 0x2A, 0x3A  # tags of model_name, inputs and raw_input_contents


def request_of(*shapes: tuple[int, ...], size: int = 4) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m", id="7")
    request.parameters["timeout"].int64_param = -1
    for shape in shapes:
        tensor = request.inputs.add(name="image", datatype="UINT8", shape=shape)
        tensor.parameters["shared_memory_offset"].int64_param = -1
        request.raw_input_contents.append(bytes(size))
    request.outputs.add(name="label_map")
    return request


def field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _VarintBytes(len(content)) + content


def unpacked(*shape: int) -> bytes:
    """A shape whose numbers are fields of their own, behind the tensors, as only a stranger writes it."""
    dimensions = b"".join(b"\x18" + _VarintBytes(size % 2**64) for size in shape)
    return field(LENGTHS[0], b"m") + field(LENGTHS[2], b"") + field(LENGTHS[1], dimensions)


PASSES = {
    "an image": request_of((1, 48, 64, 3)).SerializeToString(),
    "no dimensions": request_of(()).SerializeToString(),
    "three tensors of a megabyte": request_of(*[(1, 2**10, 2**10, 1)] * 3, size=2**20).SerializeToString(),
    "data before the tensors": unpacked(1, 48, 64, 3),
    "an empty message": b"",
}
REFUSED = {
    "no elements": request_of((1, 0, 64, 3)).SerializeToString(),
    "two negative": request_of((1, -48, -64, 3)).SerializeToString(),
    "one negative": request_of((1, -48, 64, 3)).SerializeToString(),
    "beyond 64 bits": request_of((1, 2**62, 4, 3)).SerializeToString(),
    "hidden by a zero": request_of((2**40, 2**40, 0)).SerializeToString(),
    "in the second tensor": request_of((1, 1), (2**31, 2**31)).SerializeToString(),
    "unpacked": unpacked(1, -48, -64, 3),
    "behind a megabyte": field(LENGTHS[2], bytes(2**20)) + unpacked(2**62, 4),
    "in a field of another kind": field(LENGTHS[1], b"\x1b\x1c"),
    "cut": request_of((1, 48, 64, 3)).SerializeToString()[:-2],
    "longer than it is": field(LENGTHS[0], b"m") + b"\x2a\xff\xff\xff\xff\x0f",
    "a number without an end": b"\xff" * 20,
    "ten thousand fields": b"\x70\x01" * 10_001,
}


def asked(guarded: Guarded, request: bytes) -> tuple[str, str, int]:
    """The status and the text; how many bytes reached the server, -1 if none came."""
    before = len(guarded.a.reached)
    code, text, _ = call(guarded.gateway, MODEL_INFER, guarded.by_key, request=request)
    sizes = [each.size for each in guarded.a.reached[before:]]
    return code.name, text, sizes[0] if sizes else -1


@pytest.mark.parametrize("name", PASSES)
def test_what_passes_is_not_changed(guarded: Guarded, name: str) -> None:
    assert asked(guarded, PASSES[name]) == ("OK", "", len(PASSES[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_end_a_models_process_does_not_pass(guarded: Guarded, name: str) -> None:
    code, text, size = asked(guarded, REFUSED[name])
    assert (code, size) == ("INVALID_ARGUMENT", -1)
    assert "shape" in text or "message" in text


def test_what_is_compressed_cannot_be_read(guarded: Guarded) -> None:

    credentials = grpc.ssl_channel_credentials(guarded.gateway.ca.read_bytes())
    with grpc.secure_channel(f"localhost:{guarded.gateway.port}", credentials) as channel:
        ask = channel.unary_unary(MODEL_INFER)
        with pytest.raises(grpc.RpcError) as caught:
            ask(bytes(2**16), metadata=guarded.by_key, compression=grpc.Compression.Gzip, timeout=30)
    assert (caught.value.code().name, "compressed" in caught.value.details()) == ("UNIMPLEMENTED", True)
