"""Triton's HTTP protocol: JSON, with the tensors' bytes behind it."""

import base64
import json
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import numpy as np

from regard.contract.names import ENCODED_IMAGE
from regard.serving.protocol.codec import Call, Message, Reply, microseconds
from regard.serving.protocol.shared_memory_key import HEADER
from regard.serving.protocol.tensors import array_from, datatype_of, dtype_of, payload
from regard.serving.protocol.wire import Answer, Array, Fault, Request, Span

_REGIONS = "/v2/systemsharedmemory"
NO_OUTPUTS = ("model_name", "model_version", "id")  # beside them in an event
JSON_SIZE = "Inference-Header-Content-Length"
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class HttpCodec:
    """See `regard.serving.protocol.codec.Codec`."""

    def infer(self, request: Request, timeout: float | None = None) -> Call[Answer]:
        """POST to the model."""
        spans = request.spans
        inputs, tail = [], []
        for name, array in request.inputs.items():
            if name in spans:
                parameters = _shared(spans[name])
            else:
                content = payload(array)
                parameters = {"binary_data_size": content.nbytes}
                tail.append(content.data)
            entry = {"name": name, "datatype": datatype_of(array.dtype), "shape": array.shape}
            inputs.append(entry | {"parameters": parameters})
        settings: dict[str, Any] = dict(request.parameters)
        if timeout is not None:
            settings["timeout"] = microseconds(timeout)
        said: dict[str, Any] = {"inputs": inputs}
        if request.outputs is None:
            settings["binary_data_output"] = True
        else:
            said["outputs"] = [
                {"name": name, "parameters": _shared(spans[name]) if name in spans else {"binary_data": True}}
                for name in request.outputs
            ]
        if settings:
            said["parameters"] = settings
        head = json.dumps(said).encode()
        headers = {JSON_SIZE: str(len(head)), "Content-Type": "application/octet-stream"}
        path = f"{_model(request.model, request.version)}/infer"
        return Call(Message(path, b"".join([head, *tail]), headers=headers), partial(_answer, request))

    def stream(self, request: Request) -> Call[Answer | None]:
        """POST to the model's generate extension: tensors are values or rows of them in JSON, answers
        are server-sent events.
        """
        said = {name: _in_json(name, array) for name, array in request.inputs.items()}
        if request.parameters:
            said["parameters"] = dict(request.parameters)
        return Call(_post(f"{_model(request.model, request.version)}/generate_stream", said), _one_of_many)

    def config(self, model: str, version: str) -> Call[Mapping[str, Any]]:
        """GET the model's configuration."""
        return Call(Message(f"{_model(model, version)}/config", b"", "GET"), _json)

    def server(self) -> Call[str]:
        """GET the server's metadata."""
        return Call(Message("/v2", b"", "GET"), lambda reply: str(_json(reply)["version"]))

    def versions(self, model: str) -> Call[list[int]]:
        """GET the model's metadata."""
        return Call(
            Message(_model(model, ""), b"", "GET"), lambda reply: [*map(int, _json(reply)["versions"])]
        )

    def statistics(self, model: str) -> Call[list[dict[str, Any]]]:
        """GET the model's statistics."""
        return Call(
            Message(f"{_model(model, '')}/stats", b"", "GET"), lambda reply: list(_json(reply)["model_stats"])
        )

    def index(self) -> Call[list[dict[str, str]]]:
        """POST to the repository."""
        return Call(_post("/v2/repository/index", {}), lambda reply: list(_json(reply)))

    def loaded(self) -> Call[list[dict[str, str]]]:
        """GET the statistics of all."""
        return Call(
            Message("/v2/models/stats", b"", "GET"),
            lambda reply: [
                {"name": model["name"], "version": model["version"], "state": "READY"}
                for model in _json(reply)["model_stats"]
            ],
        )

    def load(self, model: str, config: str) -> Call[None]:
        """POST to the repository's model."""
        return Call(
            _post(f"{_repository(model)}/load", {"parameters": {"config": config}}), lambda reply: None
        )

    def unload(self, model: str) -> Call[None]:
        """POST likewise."""
        return Call(_post(f"{_repository(model)}/unload", {}), lambda reply: None)

    def ready(self) -> Call[bool]:
        """GET the server's readiness."""
        return Call(Message("/v2/health/ready", b"", "GET"), lambda reply: True)

    def register(self, region: str, key: str, size: int, secret: str | None) -> Call[None]:
        """POST the region's key and size."""
        content = {"key": key, "offset": 0, "byte_size": size}
        return Call(_post(f"{_region(region)}/register", content, secret), lambda reply: None)

    def unregister(self, region: str, secret: str | None) -> Call[None]:
        """POST to the region."""
        return Call(_post(f"{_region(region)}/unregister", {}, secret), lambda reply: None)

    def regions(self, secret: str | None) -> Call[list[str]]:
        """GET their status."""
        message = Message(f"{_REGIONS}/status", b"", "GET", _shown(secret))
        return Call(message, lambda reply: [region["name"] for region in _json(reply)])


class Headers(Protocol):
    """A response's headers, found in any letter case."""

    def get(self, name: str, /) -> str | None: ...


class Response(NamedTuple):
    """What a server answered, read to its end."""

    status: int
    headers: Headers
    body: bytes


def reply_of(response: Response) -> Reply:
    """The response as a Reply; raises the Fault that it reports."""
    status, headers, body = response
    if status == 200:
        json_size = headers.get(JSON_SIZE)
        return Reply(body, None if json_size is None else int(json_size))
    if 300 <= status < 400:
        raise Fault(
            "FAILED_PRECONDITION",
            f"HTTP status {status} leads to {headers.get('Location')}; give that address instead",
        )
    try:
        message = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):  # not Triton's, but a gateway's
        message = (
            f"HTTP status {status}: {' '.join(body[:200].decode(errors='replace').split()) or 'no message'}"
        )
        if status == 404:
            message += "; see whether the address has the path that leads to Triton"
    raise Fault(CODES.get(status, "UNKNOWN"), message)


def _answer(request: Request, reply: Reply) -> Answer:
    head = reply.body if reply.json_size is None else reply.body[: reply.json_size]
    arrays, written = {}, {}
    rest, offset = memoryview(reply.body), len(head)
    for output in json.loads(head).get("outputs", ()):
        name, datatype, shape = output["name"], output["datatype"], tuple(output["shape"])
        if name in request.spans:
            written[name] = dtype_of(datatype), shape
        else:
            size = output["parameters"]["binary_data_size"]
            arrays[name] = array_from(rest[offset : offset + size], datatype, shape)
            offset += size
    return Answer(arrays, written)


def _in_json(name: str, array: Array) -> Any:
    values = [_value_in_json(name, value) for value in array.ravel().tolist()]
    return values[0] if len(values) == 1 else values  # as the frames of a clip


def _value_in_json(name: str, value: Any) -> Any:
    if name == ENCODED_IMAGE:  # JSON holds no bytes; see preprocess.file_in
        return f"data:image/file;base64,{base64.b64encode(value).decode()}"
    return value.decode() if isinstance(value, bytes) else value


def _one_of_many(reply: Reply) -> Answer | None:
    said = _json(reply)
    if "error" in said:
        raise Fault("UNKNOWN", str(said["error"]))
    return Answer({name: _from_json(value) for name, value in said.items() if name not in NO_OUTPUTS})


def _from_json(value: Any) -> Array:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], str):
        return np.array([each.encode() for each in values], dtype=np.object_)
    return np.array(values)


def _json(reply: Reply) -> Any:
    return json.loads(reply.body)


def _post(path: str, content: Mapping[str, Any], secret: str | None = None) -> Message:
    headers = {"Content-Type": "application/json"} | _shown(secret)
    return Message(path, json.dumps(content).encode(), headers=headers)


def _shown(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {HEADER: secret}


def _model(model: str, version: str) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _repository(model: str) -> str:
    return f"/v2/repository/models/{quote(model, safe='')}"


def _region(region: str) -> str:
    return f"{_REGIONS}/region/{quote(region, safe='')}"


def _shared(span: Span) -> dict[str, Any]:
    return {
        "shared_memory_region": span.region,
        "shared_memory_offset": span.offset,
        "shared_memory_byte_size": span.size,
    }
