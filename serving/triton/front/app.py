"""Forwarding: each request is read whole, within limits, checked, and sent on with the key of this run; the
answer is passed on as it comes.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from regard.serving.triton.front.fields import Refused, parsed
from regard.serving.triton.front.pace import Pace
from regard.serving.triton.front.places import AHEAD, CallerGone, Places
from regard.serving.triton.front.request_check import check_generation, check_inference, head_size
from regard.serving.triton.front.settings import Settings

WORK = re.compile(r"(/v2/models/[^/?]+(?:/versions/[^/?]+)?)/(infer|generate|generate_stream)(?:\?.*)?")
CONFIG_AGE = 10.0  # seconds for which the number of a model's instances is taken to be the same
MAX_PATH = 1024  # characters; of some thousands Triton reads the path in pieces, and takes one for the whole
JSON_SIZE = "Inference-Header-Content-Length"
# curl's default: Triton takes a body of it for a form, and a large one ends it
FORM = "application/x-www-form-urlencoded"
OF_ONE_CONNECTION = (
    "Connection",
    "Expect",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)


class Front:
    """Answers requests; `session` leads to Triton."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.settings = settings
        self.session = session
        self._in_flight = 0
        self._paces: dict[str, Pace] = {}
        self._places: dict[str, Places] = {}
        self._asked: dict[str, float] = {}  # when the model's instances were last looked up

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Forward a request, or say why not."""
        try:
            if not request.raw_path.startswith("/"):  # another host's, or none
                raise Refused(400, f"the path must begin with /, got {request.raw_path[:80]!r}")
            if len(request.raw_path) > MAX_PATH:
                raise Refused(
                    414, f"the path has {len(request.raw_path)} characters, and {MAX_PATH} are the most"
                )
            with self._held() as hold:
                body = await self._body(request, hold)
                work = WORK.fullmatch(request.raw_path)
                if work is None:
                    self._check_other(body)
                    return await self._forward(request, body)
                model, how = work.groups()
                check = self._check_inference if how == "infer" else self._check_generation
                allowed = check(request, body) or self.settings.answer_timeout
                async with self._turn(request, model, allowed) as answered:
                    return await self._forward(request, body, answered)
        except Refused as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)
        except CallerGone:
            return web.Response(status=499)  # which nobody reads

    async def _body(self, request: web.BaseRequest, hold: Callable[[int], None]) -> bytes | bytearray:
        """All of it. hold: told how many bytes there are so far."""
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise Refused(415, f"a body of Content-Encoding {encoding[:40]!r} is not taken; send it as it is")
        self._check_size(request.content_length or 0)
        if request.content.is_eof():
            body = request.content.read_nowait()
            self._check_size(len(body))
            hold(len(body))
            return body
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # that was no part of the answer
        try:
            return await asyncio.wait_for(self._arriving(request, hold), self.settings.body_timeout)
        except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
            raise Refused(408, f"the body did not arrive in {self.settings.body_timeout:g} s") from None

    async def _arriving(self, request: web.BaseRequest, hold: Callable[[int], None]) -> bytearray:
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            self._check_size(len(body))  # what comes in chunks has not said it before
            hold(len(body))
        return body

    def _check_size(self, size: int) -> None:
        if size > self.settings.max_body:
            raise Refused(
                413, f"the body has {size} bytes or more, and {self.settings.max_body} are the most"
            )

    def _check_other(self, body: bytes | bytearray) -> None:
        if body:
            parsed(self._json(body))

    def _check_inference(self, request: web.BaseRequest, body: bytes | bytearray) -> float | None:
        """Seconds that the request allows for its answer, None where it does not say."""
        sizes = request.headers.getall(JSON_SIZE, [None])
        if len(sizes) > 1:
            raise Refused(400, f"{JSON_SIZE} is given twice")
        size = head_size(sizes[0], len(body))
        if size == 0 or (size is None and not body):  # one tensor alone
            return None
        head = self._json(body if size is None else body[:size])
        return check_inference(head, len(body) - len(head))

    def _check_generation(self, request: web.BaseRequest, body: bytes | bytearray) -> float | None:
        """Likewise, of a request whose answers come one by one: it has no place to say it."""
        if JSON_SIZE in request.headers:
            raise Refused(400, f"{JSON_SIZE} is for requests of infer: all of this one is JSON")
        check_generation(self._json(body))
        return None

    @asynccontextmanager
    async def _turn(
        self, request: web.BaseRequest, model: str, allowed: float
    ) -> AsyncIterator[Callable[[], None]]:
        """See `Pace.turn` and `Places.place`; a model that Triton does not know needs neither.

        model: the path of it.
        """
        pace = self._paces.get(model)
        now = time.monotonic()
        if pace is None or now > self._asked[model] + CONFIG_AGE:
            config = await self._config(model)
            if config is None:
                yield lambda: None
                return
            pace = self._paces.setdefault(model, Pace(1))
            places = self._places.setdefault(model, Places(1))
            pace.instances, places.most = instances_of(config), most_at_once(config)
            self._asked[model] = now
        with pace.turn(allowed) as answered:
            async with self._places[model].place(lambda: _gone(request)):
                yield answered

    async def _config(self, model: str) -> Mapping[str, Any] | None:
        """A model's configuration; None if there is no such model."""
        headers = {self.settings.key_header: self.settings.key}
        try:
            async with self.session.get(self._url(f"{model}/config"), headers=headers) as answer:
                if answer.status != 200:
                    return None
                config: dict[str, Any] = await answer.json(content_type=None)
                return config
        except aiohttp.ClientError:
            return None  # to forward the request tells why

    def _url(self, path: str) -> URL:
        return URL(f"http://{self.settings.upstream}{path}", encoded=True)

    def _json(self, document: bytes | bytearray) -> bytes | bytearray:
        if len(document) > self.settings.max_json:
            raise Refused(
                413,
                f"the request has {len(document)} bytes of JSON, and {self.settings.max_json} are the most; "
                "send tensors as bytes behind it",
            )
        return document

    async def _forward(
        self,
        request: web.BaseRequest,
        body: bytes | bytearray,
        answered: Callable[[], None] = lambda: None,
    ) -> web.StreamResponse:
        """answered: told when Triton has done what was asked."""
        headers = _end_to_end(request.headers)
        if headers.get("Content-Type", "").lower().startswith(FORM):
            del headers["Content-Type"]
        headers[self.settings.key_header] = self.settings.key
        url = self._url(request.raw_path)
        response = None
        try:
            async with self.session.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as upstream:
                if upstream.status == 200:
                    answered()
                response = web.StreamResponse(status=upstream.status, headers=_end_to_end(upstream.headers))
                await response.prepare(request)
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (aiohttp.ClientError, ConnectionError):
            # Triton or the caller has gone; a caller learns it as he would from Triton itself
            if request.transport is not None:
                request.transport.abort()
            return response or web.Response(status=503)

    @contextmanager
    def _held(self) -> Iterator[Callable[[int], None]]:
        """Count a request's bytes among those in flight, as long as it is."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._in_flight + size - held > self.settings.max_in_flight:
                raise Refused(
                    503,
                    f"requests of {self.settings.max_in_flight} bytes are being answered already; try again",
                )
            self._in_flight += size - held
            held = size

        try:
            yield hold
        finally:
            self._in_flight -= held


def instances_of(config: Mapping[str, Any]) -> int:
    """How many requests, or batches of them, a model works on at a time; 1 where it does not say."""
    groups = config.get("instance_group", [])
    return sum(group.get("count", 1) * max(1, len(group.get("gpus", []))) for group in groups) or 1


def most_at_once(config: Mapping[str, Any]) -> int:
    """How many requests of a model may be with Triton at a time; any number where its steps are other
    models'.
    """
    if not config.get("instance_group"):
        return sys.maxsize
    batch = config.get("max_batch_size", 0) if "dynamic_batching" in config else 0
    return AHEAD * instances_of(config) * max(1, batch)


def _gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that are not of one connection alone."""
    kept = CIMultiDict(headers)
    for name in OF_ONE_CONNECTION:
        kept.popall(name, None)
    return kept
