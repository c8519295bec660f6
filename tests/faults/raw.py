"""Sending bytes as they are, without a client's help or its retries."""

import socket
import time
from contextlib import suppress

import grpc
from tests.faults.malformed import CLOSED, CREDENTIALS, Malformed, OverHttp
from tests.faults.servers import Server
from tests.faults.tally import GRACE, LOST, REFUSED, Call

PATIENCE = 20.0  # seconds for an answer


class Wire:
    """One caller's connections to a server; not for several threads."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._channel = server.channel()
        lines = (f"{name}: {value}\r\n" for name, value in server.headers.items())
        self._credentials = "".join(lines).encode()

    def close(self) -> None:
        self._channel.close()

    def refused(self, request: Malformed) -> Call:
        """Send what must be refused."""
        begun = time.monotonic()
        try:
            code = self.http(request.content) if isinstance(request, OverHttp) else self._grpc(request)
        except TimeoutError:
            code = "no answer"
        ended = time.monotonic()
        good = code in request.codes and ended - begun < PATIENCE + GRACE
        said = code if good else f"{request.kind}: {code} to {request.content[:200]!r}"
        return Call("malformed", begun, ended, REFUSED if good else LOST, said)

    def http(self, content: bytes) -> str:
        """The status of the answer. content: as of OverHttp."""
        with self.server.socket(PATIENCE) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was read
                connection.sendall(content.replace(CREDENTIALS, self._credentials))
            answer = b""
            with suppress(ConnectionResetError):
                while b"\r\n" not in answer and (part := connection.recv(4096)):
                    answer += part
        words = answer.split(b" ", 2)
        return words[1].decode("latin-1") if len(words) == 3 and words[0].startswith(b"HTTP/") else CLOSED

    def grpc(self, method: str, content: bytes) -> str:
        """The status code's name."""
        call = self._channel.unary_unary(method)
        try:
            call(content, timeout=PATIENCE, metadata=tuple(self.server.headers.items()))
        except grpc.RpcError as error:
            return "no answer" if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else error.code().name
        return "OK"

    def _grpc(self, request: Malformed) -> str:
        assert not isinstance(request, OverHttp)
        return self.grpc(request.method, request.content)


def vanish(connection: socket.socket) -> None:
    """Close a TCP connection so that the other side never hears of it, as when a machine loses its power."""
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    connection.close()


TCP_REPAIR = 19  # Linux; it takes CAP_NET_ADMIN
