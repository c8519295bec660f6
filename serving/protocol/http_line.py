"""One kept-alive HTTP connection: a message out, its reply in, in the time that is left.

`http.client` carries it: no maintained library was found that lets another thread end a call which waits for
its answer, and limits a whole call instead of each read (docs/decisions/0015-one-transport-stack.md).
"""

import contextlib
import http.client
import select
import socket
import ssl
import sys
from collections.abc import Generator, Iterator

from regard.serving.protocol.address import Address
from regard.serving.protocol.cancellation import Cancellation
from regard.serving.protocol.codec import Message
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.http_codec import Response, reply_of
from regard.serving.protocol.proxies import Proxy
from regard.serving.protocol.unanswered import NOT_HTTP, unanswered, words_of
from regard.serving.protocol.wire import Fault

CHUNK = 1 << 20


class Line:
    """For one thread at a time; it opens itself, and again after it was lost."""

    def __init__(
        self, address: Address, tls: ssl.SSLContext | None, proxy: Proxy | None, headers: dict[str, str]
    ) -> None:
        self._address, self._proxy = address, proxy
        self._root, self._headers = address.path, headers
        host, port = (address.host, address.port) if proxy is None else (proxy.host, proxy.port)
        self._connection = (
            http.client.HTTPConnection(host, port)
            if tls is None
            else http.client.HTTPSConnection(host, port, context=tls)
        )
        if proxy is not None and tls is not None:  # the proxy sees nothing but where to
            self._connection.set_tunnel(address.host, address.port, headers=proxy.headers)
        elif proxy is not None:
            self._root, self._headers = address.url, headers | proxy.headers

    def exchange(
        self, message: Message, deadline: Deadline, cancellation: Cancellation | None = None
    ) -> Response:
        """Send a message and read the whole response. Raises Fault, but not for the response's status."""
        with self._sent(message, deadline, cancellation) as response:
            body = b"".join(self._body(response, deadline))
        return Response(response.status, response.headers, body)

    def chunks(self, message: Message, deadline: Deadline) -> Generator[bytes, None, None]:
        """Send a message and read the response as it comes; raises Fault."""
        with self._sent(message, deadline) as response:
            if response.status != 200:
                reply_of(
                    Response(response.status, response.headers, b"".join(self._body(response, deadline)))
                )
            yield from self._body(response, deadline)

    @contextlib.contextmanager
    def _sent(
        self, message: Message, deadline: Deadline, cancellation: Cancellation | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """A message sent, and the response to it, to be read inside to its end; raises Fault, also for what
        fails there.
        """
        connection, whole = self._connection, False
        try:
            with cancellation.on(self._interrupt) if cancellation else contextlib.nullcontext():
                connection.timeout = deadline.remaining()
                if connection.sock is None:
                    connection.connect()
                if cancellation and cancellation.cancelled:
                    raise Fault("CANCELLED", "the call was cancelled")
                self._limit(deadline)
                connection.request(
                    message.method,
                    self._root + message.path,
                    body=message.body,
                    headers={**self._headers, **message.headers},
                )
                response = connection.getresponse()
                yield response
            whole = not response.will_close
        except TimeoutError:
            raise Fault("DEADLINE_EXCEEDED", "the server did not answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            if cancellation and cancellation.cancelled:
                raise Fault("CANCELLED", "the call was cancelled") from None
            words = NOT_HTTP if type(error) is http.client.BadStatusLine else words_of(error)
            raise unanswered(words, self._address, self._proxy) from None
        finally:
            if not whole:
                connection.close()

    @property
    def usable(self) -> bool:
        """Whether it is open, and the server has not closed it meanwhile."""
        if self._connection.sock is None:
            return False
        poll = select.poll()
        poll.register(self._connection.sock, select.POLLIN)
        return not poll.poll(0)  # between two replies there is nothing to read but the end

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def _body(self, response: http.client.HTTPResponse, deadline: Deadline) -> Iterator[bytes]:
        """All of it, as it comes in: `read` would wait for its whole chunk, however slowly that comes."""
        unknown = response.length is None  # in chunks of the server's, or until it closes
        left = sys.maxsize if response.length is None else response.length
        read = response.read1 if unknown else response.fp.read1
        while left:
            self._limit(deadline)
            chunk = read(min(left, CHUNK))
            if not chunk:
                break
            left -= len(chunk)
            yield chunk
        if left and not unknown:
            raise http.client.IncompleteRead(b"", left)
        response.close()

    def _interrupt(self) -> None:
        sock = self._connection.sock
        if sock is not None:  # else not connected yet, or no longer
            with contextlib.suppress(OSError):
                # SSLSocket's own shutdown would let a read under way take encrypted bytes for plain ones
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _limit(self, deadline: Deadline) -> None:
        """Let the next operation on the socket take only what is left of the time; within a hundredth, since
        setting it is a system call.
        """
        left, sock = deadline.remaining(), self._connection.sock
        if left <= 0:
            raise TimeoutError
        if sock is not None and abs((sock.gettimeout() or 0.0) - left) > 0.01 * left:
            sock.settimeout(left)
