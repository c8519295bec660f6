"""HTTP, awaited: aiohttp keeps the connections."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from regard.serving.protocol.address import Address
from regard.serving.protocol.async_connection import AsyncConnection
from regard.serving.protocol.codec import Message, Reply
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.http_codec import HttpCodec, Response, reply_of
from regard.serving.protocol.proxies import Proxy
from regard.serving.protocol.server_sent_events import Events
from regard.serving.protocol.tls import tls_context
from regard.serving.protocol.unanswered import NOT_HTTP, unanswered, words_of
from regard.serving.protocol.wire import Fault


class AsyncHttpConnection(AsyncConnection):
    """See `AsyncConnection`."""

    def __init__(self, address: Address, credentials: Credentials, proxy: Proxy | None) -> None:
        super().__init__(address, HttpCodec())
        self._proxy = proxy
        self._tls = tls_context(address, credentials)
        # aiohttp would ask for gzip
        self._headers = {"Accept-Encoding": "identity"} | credentials.sent_headers
        self._session: aiohttp.ClientSession | None = None

    async def _send(self, message: Message, timeout: float) -> Reply:
        async with self._exchanged(message, timeout) as response:
            return reply_of(Response(response.status, response.headers, await response.read()))

    async def _send_stream(self, model: str, message: Message, timeout: float) -> AsyncGenerator[Reply, None]:
        events = Events()
        async with self._exchanged(message, timeout) as response:
            if response.status != 200:
                reply_of(Response(response.status, response.headers, await response.read()))
            async for chunk in response.content.iter_any():
                for event in events.whole_in(chunk):
                    yield Reply(event)

    @asynccontextmanager
    async def _exchanged(self, message: Message, timeout: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """A message sent, and the response to it, not yet read; raises Fault, also for what fails inside."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                ssl=True if self._tls is None else self._tls,
                # or an encrypted connection that the server asked to close would outlive the session
                enable_cleanup_closed=sys.version_info < (3, 12, 8),
            )
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        try:
            async with self._session.request(
                message.method,
                self.address.url + message.path,
                data=message.body,
                headers={**self._headers, **message.headers},
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
                proxy=None if self._proxy is None else self._proxy.url,
            ) as response:
                yield response
        except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
            raise Fault("DEADLINE_EXCEEDED", "the server did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise unanswered(_words_of(error), self.address, self._proxy) from None

    async def _send_inference(self, model: str, message: Message, timeout: float) -> Reply:
        return await self._send(message, timeout)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _words_of(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"HTTP status {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return NOT_HTTP
    return words_of(getattr(error, "os_error", None) or error.__cause__ or error)
