"""Malformed requests over HTTP."""

import json
from typing import Any

from tests.faults.malformed import (
    CLOSED,
    CREDENTIALS,
    REFUSING,
    STEPS,
    Draw,
    Malformed,
    OverHttp,
    no_image,
    noise,
)
from tests.faults.models import COLOUR, LARGEST

VERSIONS = ["-1", "0", "1e3", "9" * 30, "%31%00", "latest"]


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


KINDS = (
    cut_json,
    no_json,
    other_fields,
    other_shapes,
    other_values,
    other_lengths,
    bad_image,
    path_trick,
    no_http,
)
