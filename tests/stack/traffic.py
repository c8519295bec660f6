"""Requests to a gateway in the background: those that are answered, and one of each kind that is refused."""

import contextlib
import http.client
import io
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from PIL import Image
from tests.serving.deploy.local_gateway import Gateway

import regard
from regard.errors import RegardError

MODEL = "colour"


def png(side: int) -> bytes:
    """A square image file; it takes the longer the larger it is."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 30)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def again_and_again(act: Callable[[], object], *, callers: int = 1, pause: float = 0.0) -> Iterator[None]:
    """Something is done over and over during the block, by so many threads; faults are part of it."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(pause):
            with contextlib.suppress(RegardError, OSError, http.client.HTTPException):
                act()

    threads = [threading.Thread(target=repeat) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def inferences(gateway: Gateway, image: bytes, *, callers: int = 1) -> Iterator[None]:
    """Over HTTP and gRPC, by so many callers each."""
    with contextlib.ExitStack() as ends:
        for url in (gateway.url, gateway.grpc_url):
            client = ends.enter_context(regard.Client(url, api_key=gateway.api_key, ca=gateway.ca, timeout=3))
            ask = partial(client.classify, MODEL, [image])
            list(ask())  # what the model takes is known now, so that all that follows are inferences
            ends.enter_context(again_and_again(lambda ask=ask: list(ask()), callers=callers, pause=0.05))
        yield


@contextmanager
def refusals(gateway: Gateway) -> Iterator[None]:
    """One of each kind, and a caller who asks for more than is allowed."""
    client, token = {"x-api-key": gateway.api_key}, gateway.token("greedy")
    kinds: tuple[Callable[[], int], ...] = (
        lambda: status(gateway, "/v2", {"x-api-key": "no such key"}),
        lambda: status(gateway, "/v2", {}),
        lambda: status(gateway, "/v2/models/stats", client),
        lambda: status(gateway, "/v2/repository/index", client),
        lambda: status(gateway, f"/v2/models/{MODEL}/infer", client, upload=2 << 20),
    )
    with contextlib.ExitStack() as ends:
        for kind in kinds:
            ends.enter_context(again_and_again(kind, pause=0.2))
        greedy = http.client.HTTPSConnection("localhost", gateway.port, context=_trust(gateway), timeout=10)
        ends.callback(greedy.close)

        def ask() -> None:
            greedy.request("GET", "/v2/health/live", headers={"authorization": f"Bearer {token}"})
            greedy.getresponse().read()

        ends.enter_context(again_and_again(ask))
        yield


def status(gateway: Gateway, path: str, headers: Mapping[str, str], *, upload: int = 0) -> int:
    """Of a GET, or of a POST of so many bytes in chunks."""
    connection = http.client.HTTPSConnection("localhost", gateway.port, context=_trust(gateway), timeout=10)
    with contextlib.closing(connection):
        if upload:
            chunks = (bytes(1 << 16) for _ in range(upload >> 16))
            connection.request("POST", path, chunks, dict(headers), encode_chunked=True)
        else:
            connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status


def _trust(gateway: Gateway) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=gateway.ca)
