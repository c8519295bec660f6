"""The wire: prepared requests as bytes, sent over gRPC or HTTP with as little work of the client's as Python
allows.

A request is serialized once and sent many times; a response is received whole and not parsed. The bytes
counted are those of the serialized ModelInferRequest and ModelInferResponse (gRPC) or of the bodies (HTTP);
frames and headers, some hundred bytes, are not among them.
"""

import http.client
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import grpc
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2, service_pb2_grpc

from regard.errors import RegardError, ServerError, UnknownName
from regard.serving.bench.load import RequestFailed

INFER = "/inference.GRPCInferenceService/ModelInfer"
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Region:
    """A stretch of a registered shared memory region."""

    name: str
    offset: int
    size: int

    @property
    def parameters(self) -> dict[str, str | int]:
        """How a request names it."""
        return {
            "shared_memory_region": self.name,
            "shared_memory_offset": self.offset,
            "shared_memory_byte_size": self.size,
        }


@dataclass(frozen=True)
class TensorIn:
    """An input: its content is in `data`, or in shared memory."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes | Region


@dataclass(frozen=True)
class TensorOut:
    """A requested output, sent back or left in shared memory."""

    name: str
    region: Region | None = None


@dataclass(frozen=True)
class Request:
    """What is sent: a serialized message (gRPC), or a body whose first `header` bytes are JSON (HTTP)."""

    model: str
    body: bytes
    header: int = 0


class Transport(Protocol):
    """One protocol to one server. Errors of `config`, `statistics` and the shared memory calls are
    RegardErrors.
    """

    def config(self, model: str) -> dict[str, Any]:
        """The model's configuration, in the protobuf's field names."""
        ...

    def statistics(self, model: str) -> list[dict[str, Any]]:
        """Triton's statistics of each version of the model."""
        ...

    def register(self, region: str, size: int) -> None:
        """Let the server map the POSIX shared memory object of this name."""
        ...

    def unregister(self, region: str) -> None:
        """Let go of it."""
        ...

    def request(self, model: str, inputs: Sequence[TensorIn], outputs: Sequence[TensorOut]) -> Request:
        """Prepare a request."""
        ...

    def sender(self) -> Callable[[Request], int]:
        """One worker's sender: returns the response's bytes or raises RequestFailed."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def connect(protocol: str, url: str, timeout: float) -> Transport:
    """A transport over `protocol` to `url`, given as host:port; `timeout` seconds for every request."""
    return GrpcTransport(url, timeout) if protocol == "grpc" else HttpTransport(url, timeout)


class GrpcTransport:
    """Triton's gRPC service, on one channel."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._channel = grpc.insecure_channel(url, options=UNLIMITED)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._infer = self._channel.unary_unary(INFER)  # bytes in, bytes out

    def config(self, model: str) -> dict[str, Any]:
        reply = self._call(model, self._stub.ModelConfig, service_pb2.ModelConfigRequest(name=model))
        return dict(MessageToDict(reply, preserving_proto_field_name=True)["config"])

    def statistics(self, model: str) -> list[dict[str, Any]]:
        reply = self._call(model, self._stub.ModelStatistics, service_pb2.ModelStatisticsRequest(name=model))
        return list(MessageToDict(reply, preserving_proto_field_name=True)["model_stats"])

    def register(self, region: str, size: int) -> None:
        request = service_pb2.SystemSharedMemoryRegisterRequest(name=region, key=f"/{region}", byte_size=size)
        self._call(region, self._stub.SystemSharedMemoryRegister, request)

    def unregister(self, region: str) -> None:
        self._call(
            region,
            self._stub.SystemSharedMemoryUnregister,
            service_pb2.SystemSharedMemoryUnregisterRequest(name=region),
        )

    def request(self, model: str, inputs: Sequence[TensorIn], outputs: Sequence[TensorOut]) -> Request:
        message = service_pb2.ModelInferRequest(model_name=model)
        for tensor in inputs:
            entry = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if isinstance(tensor.data, Region):
                _set_parameters(entry, tensor.data)
            else:
                message.raw_input_contents.append(tensor.data)
        for wanted in outputs:
            output = message.outputs.add(name=wanted.name)
            if wanted.region is not None:
                _set_parameters(output, wanted.region)
        return Request(model, message.SerializeToString())

    def sender(self) -> Callable[[Request], int]:
        infer, timeout = self._infer, self._timeout

        def send(request: Request) -> int:
            try:
                return len(infer(request.body, timeout=timeout))
            except grpc.RpcError as error:
                raise RequestFailed(f"{error.code().name}: {_short(error.details())}") from None

        return send

    def close(self) -> None:
        self._channel.close()

    def _call(self, name: str, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise _refused(error.code().name, error.details() or "", name, self._url, "grpc") from None


class HttpTransport:
    """Triton's HTTP service, with one kept-alive connection for each sender."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._connections: list[http.client.HTTPConnection] = []
        self._control = self._connect()

    def config(self, model: str) -> dict[str, Any]:
        return dict(self._call(model, "GET", f"/v2/models/{quote(model)}/config"))

    def statistics(self, model: str) -> list[dict[str, Any]]:
        return list(self._call(model, "GET", f"/v2/models/{quote(model)}/stats")["model_stats"])

    def register(self, region: str, size: int) -> None:
        path = f"/v2/systemsharedmemory/region/{region}/register"
        self._call(region, "POST", path, json.dumps({"key": f"/{region}", "offset": 0, "byte_size": size}))

    def unregister(self, region: str) -> None:
        self._call(region, "POST", f"/v2/systemsharedmemory/region/{region}/unregister")

    def request(self, model: str, inputs: Sequence[TensorIn], outputs: Sequence[TensorOut]) -> Request:
        described = [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "parameters": tensor.data.parameters
                if isinstance(tensor.data, Region)
                else {"binary_data_size": len(tensor.data)},
            }
            for tensor in inputs
        ]
        wanted = [
            {"name": o.name, "parameters": {"binary_data": True} if o.region is None else o.region.parameters}
            for o in outputs
        ]
        header = json.dumps({"inputs": described, "outputs": wanted}).encode()
        return Request(
            model,
            header + b"".join(tensor.data for tensor in inputs if isinstance(tensor.data, bytes)),
            len(header),
        )

    def sender(self) -> Callable[[Request], int]:
        connection = self._connect()

        def send(request: Request) -> int:
            headers = {
                "Inference-Header-Content-Length": str(request.header),
                "Content-Type": "application/octet-stream",
            }
            try:
                connection.request("POST", f"/v2/models/{quote(request.model)}/infer", request.body, headers)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()  # the next request opens it again
                raise RequestFailed(f"{type(error).__name__}: {_short(str(error))}") from None
            if response.status != http.HTTPStatus.OK:
                raise RequestFailed(f"{response.status}: {_short(content.decode(errors='replace'))}")
            return len(content)

        return send

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, _, port = self._url.partition(":")
        try:
            self._connections.append(
                http.client.HTTPConnection(host, int(port or 8000), timeout=self._timeout)
            )
        except ValueError:
            raise ServerError(
                f"the server's address must look like 127.0.0.1:8000, got {self._url!r}."
            ) from None
        return self._connections[-1]

    def _call(self, name: str, verb: str, path: str, body: str | None = None) -> Any:
        try:
            self._control.request(verb, path, body)
            response = self._control.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._control.close()
            raise _refused("UNAVAILABLE", str(error), name, self._url, "http") from None
        if response.status != http.HTTPStatus.OK:
            code = (
                "NOT_FOUND"
                if response.status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.BAD_REQUEST)
                else str(response.status)
            )
            raise _refused(code, content.decode(errors="replace"), name, self._url, "http")
        return json.loads(content) if content else {}


def bytes_tensor(elements: Sequence[bytes]) -> bytes:
    """Triton's serialization of a BYTES tensor: each element behind its length, 4 bytes little-endian."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def _set_parameters(tensor: Any, region: Region) -> None:
    for key, value in region.parameters.items():
        if isinstance(value, str):
            tensor.parameters[key].string_param = value
        else:
            tensor.parameters[key].int64_param = value


def _short(text: str | None) -> str:
    return " ".join((text or "").split())[:160]


def _refused(code: str, details: str, name: str, url: str, protocol: str) -> RegardError:
    if code == "NOT_FOUND":
        return UnknownName(
            f"the server at {url} refuses {name!r}: {_short(details)}. `regard repo list` shows what it "
            "serves."
        )
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return ServerError(
            f"no Triton answers {protocol} at {url} ({_short(details)}). Start one with `regard serve`, or "
            "give its --url."
        )
    return ServerError(f"the server at {url} refuses {name!r}: {code} {_short(details)}.")
