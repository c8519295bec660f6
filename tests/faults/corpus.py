"""Requests that must be refused: the same ones in each run, drawn from a seed.

Each is wrong by construction, so that an answer to it is a wrong answer. Their models are those of models.py.
"""

import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.models import COLOUR, LARGEST, pixels, png
from tritonclient.grpc import service_pb2 as pb

from regard.serving.protocol.grpc_codec import SERVICE

REFUSING = frozenset(
    {"400", "404", "405", "408", "411", "413", "414", "415", "417", "422", "431", "501", "505"}
)
CLOSED = "closed"  # the connection, without an answer: to what is no HTTP
INVALID = frozenset({"INVALID_ARGUMENT", "NOT_FOUND"})
BATCH = INVALID | {"INTERNAL"}  # Triton's own word for a batch of 0, or of 2^62
LONG = INVALID | {
    "RESOURCE_EXHAUSTED"
}  # gRPC's word where the error names so long a name that it does not fit
UNREADABLE = frozenset(
    {"INTERNAL", "INVALID_ARGUMENT", "UNIMPLEMENTED"}
)  # gRPC's own words for a bad message

Draw = random.Random


@dataclass(frozen=True)
class OverHttp:
    """content: all that is sent, except that {credentials} stands for the caller's headers."""

    kind: str
    content: bytes
    codes: frozenset[str] = REFUSING


@dataclass(frozen=True)
class OverGrpc:
    """A message to a method."""

    kind: str
    method: str
    content: bytes
    codes: frozenset[str] = INVALID


Malformed = OverHttp | OverGrpc
CREDENTIALS = b"{credentials}\r\n"


def malformed(count: int, *, gateway: bool = False, seed: int = 0) -> Iterator[Malformed]:
    """So many, of each kind in turn. gateway: with what a Triton that has none does not live through."""
    kinds = (*KINDS, wild_shape) if gateway else KINDS
    draw = random.Random(seed)
    for index in range(count):
        yield kinds[index % len(kinds)](draw)


def post(path: str, body: bytes, *headers: str, kind: str, codes: frozenset[str] = REFUSING) -> OverHttp:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: faults",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return OverHttp(kind, "\r\n".join(lines).encode() + b"\r\n" + CREDENTIALS + b"\r\n" + body, codes)


def infer(model: str, body: Any, *headers: str, kind: str) -> OverHttp:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(f"/v2/models/{model}/infer", content, *headers, kind=kind)


def tensor(**changes: Any) -> dict[str, Any]:
    """A right request to `colour`, but for the changes of its tensor."""
    right = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [7] * 192}
    return {"inputs": [{key: value for key, value in (right | changes).items() if value is not None}]}


def noise(draw: Draw, least: int = 0, most: int = 400) -> bytes:
    return draw.randbytes(draw.randint(least, most))


# over HTTP


def cut_json(draw: Draw) -> Malformed:
    whole = json.dumps(tensor())
    return infer(COLOUR, whole[: draw.randrange(1, len(whole))].encode(), kind="JSON")


def no_json(draw: Draw) -> Malformed:
    body = draw.choice(
        [
            b"\x00" + noise(draw),
            b"[" * draw.randrange(1000, 200_000),
            b'{"inputs": ' + b"[" * draw.randrange(1000, 200_000),
            b'{"a":' * draw.randrange(1000, 50_000),
            b"\xff\xfe" + json.dumps(tensor()).encode("utf-16-le"),
            json.dumps(tensor()).encode() + b"}",
            b'{"inputs": NaN}',
            b'{"inputs": 1e400}',
            b'"' + b"\\u0000" * 100 + b'"',
            b"null",
        ]
    )
    return infer(COLOUR, body, kind="JSON")


def other_fields(draw: Draw) -> Malformed:
    odd: Any = draw.choice([17, -1, 1.5, True, [], {}, "x", [[]], "\u0000", "a" * 10_000])
    field = draw.choice(["name", "datatype", "data"])
    body = draw.choice(
        [
            tensor(**{field: odd}) if not (field == "data" and odd is True) else {"inputs": odd},
            tensor(**{field: None}),
            {"inputs": odd},
            {"inputs": [odd]},
            {"inputs": []},
            tensor() | {"parameters": draw.choice([1, [], "x", {"timeout": -1}, {"timeout": "soon"}])},
            tensor() | {"outputs": draw.choice([1, {}, "x", [1], [{"name": 1}], [{"name": "logits"}]])},
            {"inputs": tensor()["inputs"] * draw.randint(2, 5)},
        ]
    )
    return infer(COLOUR, body, kind="JSON")


def other_shapes(draw: Draw) -> Malformed:
    size: Any = draw.choice([-1, 0, -(2**31), 2**31, 2**62, 2**63, 2**64 - 1, 10**30, 1.5, "8", None, [8]])
    shape = [1, 8, 8, 3]
    shape[draw.randrange(4)] = size
    whole = draw.choice([shape, shape, shape, [], [192], [1] * 40, [size] * 4, size, {"0": 1}])
    return infer(
        draw.choice([COLOUR, LARGEST]), tensor(shape=whole if whole is not None else "none"), kind="shapes"
    )


def other_values(draw: Draw) -> Malformed:
    data: Any = [7] * 192
    data[draw.randrange(192)] = draw.choice([256, -1, 1.5, "7", None, [7], {}, 2**70])
    body = draw.choice(
        [tensor(data=data), tensor(data=[7] * draw.choice([0, 1, 191, 193])), tensor(datatype="FP32")]
    )
    return infer(COLOUR, body, kind="values")


def other_lengths(draw: Draw) -> Malformed:
    said = draw.choice(["-1", "1e3", "0x10", "99999999", str(2**64), "", "7, 7", "\u0664", " "])
    head = json.dumps(
        tensor(data=None, parameters={"binary_data_size": draw.choice([0, 191, 193, -1, 2**63])})
    )
    body = head.encode() + bytes(192)
    length = draw.choice([said, str(len(head))]).encode().decode("latin-1")
    return infer(COLOUR, body, f"Inference-Header-Content-Length: {length}", kind="lengths")


def bad_image(draw: Draw) -> Malformed:
    headers = ("Inference-Header-Content-Length: 0", "Content-Type: application/octet-stream")
    return infer(f"{draw.choice([COLOUR, LARGEST])}_image", no_image(draw), *headers, kind="image bytes")


def no_image(draw: Draw) -> bytes:
    whole = png(pixels(0, 48, 64))
    return draw.choice(
        [
            whole[: draw.randrange(1, len(whole) - 20)],
            b"\x89PNG\r\n\x1a\n" + noise(draw),
            b"\xff\xd8\xff\xe0" + noise(draw),
            b"RIFF\x10\x00\x00\x00WEBP" + noise(draw),
            b"GIF89a" + noise(draw),
            noise(draw, 1),
            whole[:8] + draw.randbytes(16) + whole[24:],
            claiming(draw.choice([0, 1, 2**31 - 1, 60_000]), draw.choice([0, 2**31 - 1, 60_000])),
        ]
    )


def claiming(columns: int, rows: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


VERSIONS = ["-1", "0", "1e3", "9" * 30, "%31%00", "latest"]
STEPS = ["..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "%252e%252e", "....//", "%c0%ae%c0%ae", ".%00."]


def path_trick(draw: Draw) -> Malformed:
    steps = "/".join(draw.choices(STEPS, k=draw.randint(1, 6)))
    where = draw.choice(["etc/passwd", "proc/self/environ", "config.pbtxt", "dev/shm", "models/nobody"])
    path = draw.choice(
        [
            f"/v2/models/{steps}/{where}/infer",
            f"/v2/models/{COLOUR}/versions/{steps}x/infer",
            f"/v2/models/{COLOUR}/versions/{draw.choice(VERSIONS)}/infer",
            f"/v2/models/{COLOUR}%00/infer",
            f"/v2/models/{COLOUR}%2f..%2f{LARGEST}/infer",
            f"/v2/models/{'a' * draw.randrange(1000, 7000)}/infer",
            f"/v2/models/%{draw.choice(['zz', '2', 'ff', '00', 'f0%9f'])}/infer",
            f"/v2/models/file:%2f%2f%2f{where}/infer",
            "/v2/models/$(reboot)`id`%3bls/infer",
            f"/v2/repository/models/{steps}/load",
            f"/v2/models/{COLOUR}/{where}",
        ]
    )
    return post(path, json.dumps(tensor()).encode(), kind="path tricks", codes=REFUSING | {"403", "401"})


def no_http(draw: Draw) -> Malformed:
    start = b"POST /v2/models/colour/infer HTTP/1.1\r\nHost: faults\r\n" + CREDENTIALS
    body = json.dumps(tensor()).encode()
    content = draw.choice(
        [
            b"\x00" + noise(draw, 1) + b"\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00" + noise(draw, 100) + b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"POST /v2 HTTP/9.9\r\n\r\n",
            b"G T / HTTP/1.1\r\n\r\n",
            start + b"Content-Length: -5\r\n\r\n" + body,
            start + b"Content-Length: 5, 6\r\n\r\n" + body,
            start + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + body,
            start + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + body,
            start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + body,
            start + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + body,
            start + b"No colon here\r\n\r\n",
            start + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
            start + b"X: a\x00b\r\n\r\n",
            start + b"".join(b"X%d: y\r\n" % index for index in range(3000)) + b"\r\n",
        ]
    )
    return OverHttp("no HTTP", content, REFUSING | {CLOSED, "401", "426"})


# over gRPC


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
    return OverGrpc("protobuf", f"{SERVICE}ModelInfer", content, UNREADABLE | INVALID)


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


KINDS: tuple[Callable[[Draw], Malformed], ...] = (
    *(
        cut_json,
        no_json,
        other_fields,
        other_shapes,
        other_values,
        other_lengths,
        bad_image,
        path_trick,
        no_http,
    ),
    *(no_protobuf, other_message, other_grpc_shape, other_names, bad_grpc_image, no_method),
)
