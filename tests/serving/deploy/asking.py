"""Requests to a gateway as bytes and headers, without our client's good manners."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPResponse, RemoteDisconnected

import grpc
from tests.serving.deploy.local_gateway import Gateway

INFER = "/v2/models/m/infer"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """Of HTTP. headers: their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


def message(size: int) -> bytes:
    """A ModelInferRequest of so many bytes, all in one tensor's content."""
    for length in range(size - 6, size):
        field = b"\x3a" + _varint(length) + bytes(length)
        if len(field) == size:
            return field
    raise AssertionError(f"there is none of {size} bytes")


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


def connect(gateway: Gateway) -> ssl.SSLSocket:
    """A TLS connection of HTTP/1.1."""
    context = ssl.create_default_context(cafile=gateway.ca)
    raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    return context.wrap_socket(raw, server_hostname="localhost")


def ask(
    gateway: Gateway, target: str, headers: Headers = (), *, method: str = "GET", body: bytes = b""
) -> Answer:
    """One request; its target and headers are sent as they are."""
    if body or method == "POST":
        headers = [*headers, ("content-length", str(len(body)))]
    lines = [f"{method} {target} HTTP/1.1", "host: localhost", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return send(gateway, "\r\n".join([*lines, "", ""]).encode() + body, method=method)


def send(gateway: Gateway, request: bytes, *, method: str = "GET") -> Answer:
    """The bytes of a request."""
    with connect(gateway) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # answered before all was sent
            connection.sendall(request)
        return read(connection, method=method)


def read(connection: ssl.SSLSocket, *, method: str = "GET") -> Answer:
    """An answer. Status 0: the connection was closed without one."""
    with closing(HTTPResponse(connection, method=method)) as answer:
        try:
            answer.begin()
            body = answer.read().decode("latin-1")
        except (ConnectionResetError, ssl.SSLEOFError, RemoteDisconnected):
            return Answer(0, {}, "")
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def call(
    gateway: Gateway, method: str, headers: Headers = (), *, request: bytes = b"", timeout: float = 30
) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """A gRPC call: its status, the error's text and the first metadata."""
    credentials = grpc.ssl_channel_credentials(gateway.ca.read_bytes())
    options = [("grpc.enable_retries", 0), ("grpc.max_send_message_length", -1)]
    with grpc.secure_channel(f"localhost:{gateway.port}", credentials, options=options) as channel:
        done = channel.unary_unary(method).future(request, metadata=tuple(headers), timeout=timeout)
        metadata = {name: str(value) for name, value in done.initial_metadata() or ()}
        return done.code(), done.details() or "", metadata
