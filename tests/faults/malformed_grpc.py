"""Malformed requests over gRPC."""

import struct

from tests.faults.malformed import (
    BATCH,
    INVALID,
    LONG,
    STEPS,
    UNREADABLE,
    Draw,
    Malformed,
    OverGrpc,
    no_image,
    noise,
)
from tests.faults.models import COLOUR, LARGEST
from tritonclient.grpc import service_pb2 as pb

from regard.serving.protocol.grpc_codec import SERVICE


def call(request: pb.ModelInferRequest, kind: str, codes: frozenset[str] = INVALID) -> OverGrpc:
    return OverGrpc(kind, f"{SERVICE}ModelInfer", request.SerializeToString(), codes)


def request_of(
    model: str = COLOUR,
    *,
    version: str = "",
    shape: tuple[int, ...] = (1, 8, 8, 3),
    size: int = 192,
    name: str = "image",
    datatype: str = "UINT8",
) -> pb.ModelInferRequest:
    """A right request, but for what is given."""
    request = pb.ModelInferRequest(model_name=model, model_version=version)
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    request.raw_input_contents.append(bytes(size))
    return request


def no_protobuf(draw: Draw) -> Malformed:
    whole = request_of().SerializeToString()
    content = draw.choice(
        [
            b"\xff" * draw.randrange(10, 100),
            b"\x0a\xff\xff\xff\xff\x0f" + noise(draw),
            whole[: draw.randrange(len(whole) - 190, len(whole) - 1)],
            b"\x0b" * draw.randrange(10, 1000),
            b"\x0a\x02\xff\xff",
        ]
    )
    return OverGrpc("protobuf", f"{SERVICE}ModelInfer", content, UNREADABLE)


def other_message(draw: Draw) -> Malformed:
    bare = pb.ModelInferRequest(model_name=COLOUR)
    double = request_of()
    double.inputs.add(name="image", datatype="UINT8", shape=(1, 8, 8, 3))
    untold = request_of()
    untold.outputs.add(name="logits")
    both = request_of()
    both.inputs[0].contents.uint_contents.extend([7] * 192)
    return call(
        draw.choice([bare, double, untold, both, request_of(size=191), request_of(size=0)]), "protobuf"
    )


def other_grpc_shape(draw: Draw) -> Malformed:
    """Of a model whose size is fixed."""
    shape = [1, 8, 8, 3]
    shape[draw.randrange(4)] = draw.choice([-1, 0, 2, -(2**31), 2**31, 2**62, -(2**63)])
    whole = draw.choice([tuple(shape), (), (192,), (1,) * 40, (2**62,) * 4])
    return call(request_of(shape=whole), "shapes", BATCH)


def wild_shape(draw: Draw) -> Malformed:
    """Of a model whose size varies: without a gateway its process ends."""
    shape = draw.choice([(1, -48, -64, 3), (1, 2**62, 4, 3), (1, 2**40, 2**40, 3), (-1, -1, 2**33, 2**33)])
    return call(request_of(LARGEST, shape=shape, size=draw.choice([0, 1, 9216])), "shapes")


def other_names(draw: Draw) -> Malformed:
    trick = "/".join(draw.choices([*STEPS, "\x00", "\u202e"], k=draw.randint(1, 4)))
    return call(
        draw.choice(
            [
                request_of(trick),
                request_of("a" * draw.randrange(1000, 9000)),
                request_of(version=draw.choice(["..", "-1", "x", "9" * 30, "\x001", trick])),
                request_of(name=trick),
                request_of(datatype=draw.choice(["", "uint8", "FP32", "BYTES", "X" * 1000])),
            ]
        ),
        "path tricks",
        LONG,
    )


def bad_grpc_image(draw: Draw) -> Malformed:
    model = f"{draw.choice([COLOUR, LARGEST])}_image"
    image = no_image(draw)
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="encoded_image", datatype="BYTES", shape=(1, 1))
    length = draw.choice([len(image), len(image), 2**32 - 1, len(image) + 1, 0])
    request.raw_input_contents.append(struct.pack("<I", length) + image)
    return call(request, "image bytes")


def no_method(draw: Draw) -> Malformed:
    method = draw.choice([f"{SERVICE}Reboot", "/nobody.Service/Call", f"{SERVICE}../ModelInfer"])
    return OverGrpc("path tricks", method, noise(draw), frozenset({"UNIMPLEMENTED"}))


KINDS = (no_protobuf, other_message, other_grpc_shape, other_names, bad_grpc_image, no_method)
