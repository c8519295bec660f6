"""The HTTP transports.

tritonclient writes and reads the bodies; the connections are ours, because its own are bound to one thread,
change the headers they are given and know no timeout for a single call.
"""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from regard.serving.client import http_codec as codec
from regard.serving.client.cancellation import Cancellation
from regard.serving.client.wire import Answer, Fault, Request

CHUNK = 1 << 20


class HttpTransport:
    """See `regard.serving.client.wire.Transport`. Each call takes a connection of its own from the idle
    ones.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._lock = threading.Lock()

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer:
        """Send one inference."""
        return codec.parse_infer(self._send(codec.infer_message(request), timeout, cancellation), request)

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """A model's configuration."""
        config: Mapping[str, Any] = codec.parse_json(
            self._send(codec.config_message(model, version), timeout)
        )
        return config

    def index(self, *, timeout: float) -> list[dict[str, str]]:
        """The repository index: name, version and state of every model."""
        return list(codec.parse_json(self._send(codec.post("/v2/repository/index", {}), timeout)))

    def ready(self, *, timeout: float) -> bool:
        """Whether the server and all its models are ready."""
        return self._send(codec.get("/v2/health/ready"), timeout).status == 200

    def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Let the server open a shared memory region."""
        codec.check(self._send(codec.register_message(region, key, size), timeout))

    def unregister(self, region: str, *, timeout: float) -> None:
        """Let the server forget a region."""
        codec.check(self._send(codec.unregister_message(region), timeout))

    def close(self) -> None:
        """Close the idle connections; those in use close when their call ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _send(
        self, message: codec.Message, timeout: float, cancellation: Cancellation | None = None
    ) -> codec.Reply:
        cancellation = Cancellation() if cancellation is None else cancellation
        until = time.monotonic() + timeout
        with self._lock:
            connection = self._idle.pop() if self._idle else http.client.HTTPConnection(self._url)
        whole = False

        def interrupt() -> None:
            with contextlib.suppress(AttributeError, OSError):  # not connected yet, or no longer
                connection.sock.shutdown(socket.SHUT_RDWR)

        try:
            with cancellation.on(interrupt):
                connection.timeout = timeout
                if connection.sock is None:
                    connection.connect()
                _limit(connection, until)
                connection.request(
                    message.method,
                    message.path,
                    body=message.body,
                    headers={**self._headers, **message.headers},
                )
                response = connection.getresponse()
                chunks = []
                while not response.isclosed() and (chunk := response.read(CHUNK)):
                    chunks.append(chunk)
                    _limit(connection, until)
            whole = not response.will_close
            return codec.Reply(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                b"".join(chunks),
            )
        except TimeoutError:
            raise Fault("DEADLINE_EXCEEDED", "the server did not answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            if cancellation.cancelled:
                raise Fault("CANCELLED", "the call was cancelled") from None
            raise Fault(
                "UNAVAILABLE",
                getattr(error, "strerror", None) or str(error) or type(error).__name__,
                answered=False,
            ) from None
        finally:
            self._keep(connection) if whole else connection.close()

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _limit(connection: http.client.HTTPConnection, until: float) -> None:
    """Let the next operation on the socket take only what is left of the time."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if connection.sock is not None:
        connection.sock.settimeout(left)


class AsyncHttpTransport:
    """See `regard.serving.client.wire.AsyncTransport`. It belongs to the event loop that first uses it."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._root = f"http://{url}"
        self._headers = dict(headers)
        self._session: aiohttp.ClientSession | None = None

    async def infer(self, request: Request, *, timeout: float) -> Answer:
        """Send one inference."""
        return codec.parse_infer(await self._send(codec.infer_message(request), timeout), request)

    async def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """A model's configuration."""
        config: Mapping[str, Any] = codec.parse_json(
            await self._send(codec.config_message(model, version), timeout)
        )
        return config

    async def index(self, *, timeout: float) -> list[dict[str, str]]:
        """The repository index: name, version and state of every model."""
        return list(codec.parse_json(await self._send(codec.post("/v2/repository/index", {}), timeout)))

    async def ready(self, *, timeout: float) -> bool:
        """Whether the server and all its models are ready."""
        return (await self._send(codec.get("/v2/health/ready"), timeout)).status == 200

    async def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Let the server open a shared memory region."""
        codec.check(await self._send(codec.register_message(region, key, size), timeout))

    async def unregister(self, region: str, *, timeout: float) -> None:
        """Let the server forget a region."""
        codec.check(await self._send(codec.unregister_message(region), timeout))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, message: codec.Message, timeout: float) -> codec.Reply:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        try:
            async with self._session.request(
                message.method,
                self._root + message.path,
                data=message.body,
                # aiohttp would ask for gzip
                headers={"Accept-Encoding": "identity", **self._headers, **message.headers},
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                return codec.Reply(
                    response.status,
                    {name.lower(): value for name, value in response.headers.items()},
                    await response.read(),
                )
        except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
            raise Fault("DEADLINE_EXCEEDED", "the server did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Fault(
                "UNAVAILABLE",
                getattr(error, "strerror", None) or str(error) or type(error).__name__,
                answered=False,
            ) from None
