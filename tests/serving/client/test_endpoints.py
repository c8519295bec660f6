"""Models of which a server holds one endpoint: what can be asked, and what is said of the rest."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from tests.serving.conftest import largest_channel

from regard import Client
from regard.errors import InvalidInput
from regard.serving.bench.target import find_target
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.repository import add
from regard.serving.triton.canary import Canaries, Findings
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


@dataclass(frozen=True)
class Urls:
    grpc: str
    http: str


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    """A server of `files` and `tensors`, each with that endpoint alone."""
    folder = tmp_path_factory.mktemp("endpoints")
    artifact = largest_channel(folder / "largest")
    add(artifact, folder / "repository", name="files", endpoints="image", instances=1)
    add(artifact, folder / "repository", name="tensors", endpoints="tensor", instances=1)
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository", http_port=http, grpc_port=grpc, metrics_port=metrics
    ) as server:
        yield Urls(server.grpc_url, f"http://{server.http_url}")


@pytest.fixture(params=["grpc", "http"])
def url(urls: Urls, request: pytest.FixtureRequest) -> str:
    return str(getattr(urls, request.param))


@pytest.mark.parametrize("version", ["", "1"])
def test_image_files_alone(url: str, version: str) -> None:
    with Client(url) as client:
        assert client.card("files").name == "largest"
        (answer,) = client.segment("files", [png()], version=version)
        np.testing.assert_array_equal(answer.label_map, PIXELS.max(2) % 11)
        with pytest.raises(InvalidInput, match=r"images\[0\]: model 'files' is served for image files alone"):
            client.segment("files", [PIXELS], version=version)
        with pytest.raises(InvalidInput, match="^model 'files' is served for image files alone: give the"):
            client.infer("files", {"image": PIXELS[None]})
        with pytest.raises(InvalidInput, match=r"no version 7 .* Served: 1"):
            client.segment("files", [png()], version="7")


def test_tensors_alone(url: str) -> None:
    with Client(url) as client:
        (answer,) = client.segment("tensors", [PIXELS])
        np.testing.assert_array_equal(answer.label_map, PIXELS.max(2) % 11)
        with pytest.raises(InvalidInput, match="'tensors' is served for tensors alone.*decode them first"):
            client.segment("tensors", [png()])


def test_both_are_canaried(urls: Urls) -> None:
    connection = connect(address_of(urls.grpc), Credentials())
    try:
        assert Canaries(interval=0.0).send(connection) == Findings(
            proven=frozenset({"tensors", "files_image"})
        )
    finally:
        connection.close()


def test_a_benchmark_is_told_the_same(url: str) -> None:
    connection = connect(address_of(url), Credentials())
    try:
        for model, endpoint, words in (
            ("files", "tensor", "image files alone"),
            ("tensors", "image", "tensors alone"),
        ):
            with pytest.raises(InvalidInput, match=words):
                find_target(
                    connection, model, endpoint=endpoint, batch=1, images=[png()], shared_memory=False
                )
        target = find_target(
            connection, "files", endpoint="image", batch=1, images=[png()], shared_memory=False
        )
        assert (target.model, target.name, target.steps) == ("files", "files_image", ())
    finally:
        connection.close()
