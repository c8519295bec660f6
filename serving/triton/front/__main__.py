"""A front as a process: `python -m regard.serving.triton.front`, with its Settings as a line of JSON on
standard input. It ends when standard input does, as it does when its parent dies, and lets requests in flight
finish.
"""

import asyncio
import json
import sys

import aiohttp
from aiohttp import web

from regard.serving.triton.front.app import Front
from regard.serving.triton.front.log import log_in_one_line
from regard.serving.triton.front.settings import Settings

GRACE = 8.0  # seconds for requests in flight
IDLE = 75.0  # seconds that a connection may be silent between requests
THE_CALLERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # not added by aiohttp


async def serve(settings: Settings) -> None:
    """Listen until standard input ends."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),  # of Triton's answers
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=THE_CALLERS,
    ) as session:
        server = web.Server(
            Front(settings, session).answer,
            handler_cancellation=False,  # what Triton has begun it goes on with, and that counts
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=IDLE,
        )
        runner = web.ServerRunner(server, shutdown_timeout=GRACE)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, settings.host, settings.port).start()
            except OSError as error:
                sys.exit(
                    f"error: cannot listen on {settings.host}:{settings.port} for HTTP: {error.strerror}"
                )
            await asyncio.to_thread(sys.stdin.read)
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    log_in_one_line()
    asyncio.run(serve(Settings(**json.loads(sys.stdin.readline()))))
