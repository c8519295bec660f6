"""HTTP, blocking: each call takes an idle line, or a new one."""

import threading
from collections.abc import Callable, Generator

from regard.serving.protocol.address import Address
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.codec import Message, Reply
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.http_codec import HttpCodec, reply_of
from regard.serving.protocol.http_line import Line
from regard.serving.protocol.proxies import Proxy
from regard.serving.protocol.server_sent_events import Events
from regard.serving.protocol.tls import tls_context


class HttpConnection(Connection):
    """See `Connection`."""

    def __init__(self, address: Address, credentials: Credentials, proxy: Proxy | None) -> None:
        super().__init__(address, HttpCodec())
        self._tls = tls_context(address, credentials)
        self._proxy = proxy
        self._headers = credentials.sent_headers
        self._idle: list[Line] = []
        self._senders: list[Line] = []
        self._closed = False
        self._lock = threading.Lock()

    def _send(self, message: Message, timeout: float) -> Reply:
        return self._exchange(message, timeout, Cancellation())

    def _send_inference(
        self, model: str, message: Message, timeout: float, cancellation: Cancellation
    ) -> Reply:
        return self._exchange(message, timeout, cancellation)

    def _exchange(self, message: Message, timeout: float, cancellation: Cancellation) -> Reply:
        line = self._take()
        try:
            return reply_of(line.exchange(message, Deadline.after(timeout), cancellation))
        finally:
            self._give_back(line)

    def _send_stream(self, model: str, message: Message, timeout: float) -> Generator[Reply, None, None]:
        line, events = self._take(), Events()
        try:
            for chunk in line.chunks(message, Deadline.after(timeout)):
                yield from map(Reply, events.whole_in(chunk))
        finally:
            self._give_back(line)

    def sender(self, timeout: float) -> Callable[[Message], int]:
        """On a line of its own."""
        line = self._line()
        self._senders.append(line)

        def send(message: Message) -> int:
            response = line.exchange(message, Deadline.after(timeout))
            return len(response.body if response.status == 200 else reply_of(response).body)

        return send

    def close(self) -> None:
        """Close the idle lines and the senders'; those in use close when their call ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for line in [*idle, *self._senders]:
            line.close()

    def _line(self) -> Line:
        return Line(self.address, self._tls, self._proxy, self._headers)

    def _take(self) -> Line:
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                return self._line()
            if line.usable:
                return line
            line.close()

    def _give_back(self, line: Line) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(line)
                return
        line.close()
