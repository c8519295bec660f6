"""Triton's HTTP protocol without a connection: messages to send, and what the answers to them mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from regard.serving.client.wire import Answer, Fault, Request

JSON_LENGTH = "Inference-Header-Content-Length"
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
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Message:
    """One HTTP request; the path is below the server's root."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """One HTTP response, read to its end. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def infer_message(request: Request) -> Message:
    """The inference as JSON, with the tensors' bytes behind it."""
    inputs = []
    for name, array in request.inputs.items():
        tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        span = request.spans.get(name)
        if span:
            tensor.set_shared_memory(span.region, span.size, span.offset)
        else:
            tensor.set_data_from_numpy(array, binary_data=True)
        inputs.append(tensor)
    outputs = (
        None
        if request.outputs is None
        else [InferRequestedOutput(name, binary_data=True) for name in request.outputs]
    )
    for wanted in outputs or ():
        span = request.spans.get(wanted.name())
        if span:
            wanted.set_shared_memory(span.region, span.size, span.offset)
    body, json_size = InferenceServerClient.generate_request_body(inputs, outputs=outputs)
    headers = {} if json_size is None else {JSON_LENGTH: str(json_size)}
    return Message("POST", f"{model_path(request.model, request.version)}/infer", body, headers)


def parse_infer(reply: Reply, request: Request) -> Answer:
    """The outputs in a reply; raises Fault."""
    check(reply)
    header_length = reply.headers.get(JSON_LENGTH.lower())
    result = InferenceServerClient.parse_response_body(
        reply.body, header_length=int(header_length) if header_length else None
    )
    arrays, written = {}, {}
    for output in result.get_response().get("outputs", ()):
        if output["name"] in request.spans:
            written[output["name"]] = np.dtype(triton_to_np_dtype(output["datatype"])), tuple(output["shape"])
        else:
            arrays[output["name"]] = result.as_numpy(output["name"])
    return Answer(arrays, written)


def get(path: str) -> Message:
    """A question without a body."""
    return Message("GET", path, b"", {})


def post(path: str, content: Mapping[str, Any]) -> Message:
    """An order in JSON."""
    return Message("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json"})


def config_message(model: str, version: str) -> Message:
    """Ask for a model's configuration."""
    return get(f"{model_path(model, version)}/config")


def register_message(region: str, key: str, size: int) -> Message:
    """Let the server open a shared memory region."""
    return post(
        f"/v2/systemsharedmemory/region/{quote(region, safe='')}/register",
        {"key": key, "offset": 0, "byte_size": size},
    )


def unregister_message(region: str) -> Message:
    """Let the server forget a region."""
    return post(f"/v2/systemsharedmemory/region/{quote(region, safe='')}/unregister", {})


def model_path(model: str, version: str) -> str:
    """Where a model, or one version of it, is."""
    path = f"/v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def parse_json(reply: Reply) -> Any:
    """What a reply says; raises Fault."""
    check(reply)
    return json.loads(reply.body)


def check(reply: Reply) -> None:
    """Raise the Fault that a reply reports, if it does."""
    if reply.status == 200:
        return
    try:
        message = str(json.loads(reply.body)["error"])
    except (ValueError, KeyError, TypeError):
        message = reply.body[:200].decode(errors="replace") or f"HTTP status {reply.status} without a message"
    raise Fault(CODES.get(reply.status, "UNKNOWN"), message)
