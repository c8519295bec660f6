"""Clients of a real server whose models take or answer more than an image's classes, and remember."""

import asyncio
import io
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import pytest
from PIL import Image
from tests.serving.triton import tiny_families
from tests.serving.triton.tiny_families import asking, counting_down, summing, watching

from regard.contract.results import Token
from regard.errors import InvalidInput, SessionLost
from regard.serving.bench.measure import Settings
from regard.serving.bench.run import Options, bench
from regard.serving.client.aio import AsyncClient
from regard.serving.client.sync import Client
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

COUNTED = [Token("three", 4, -1.0), Token(" two", 3, -1.0), Token(" one", 2, -1.0)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    folder = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patched:
        adding = import_module("regard.serving.repository.add")  # the package has a function of this name
        patched.setattr(adding, "cut", tiny_families.steps_of_counting)
        for make in (asking, counting_down):
            add(make(folder / make.__name__), folder / "repository", instances=1)
    add(watching(folder / "watching"), folder / "repository", instances=1, endpoints="tensor")
    add(summing(folder / "summing", idle=60), folder / "repository", instances=1)
    mortal = summing(folder / "mortal", idle=60)
    add(mortal, folder / "repository", name="mortal", instances=1, endpoints="tensor")
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository", http_port=http, grpc_port=grpc, metrics_port=metrics
    ) as running:
        yield running
        running.stop(grace=0)  # Triton takes seconds to let go what keeps sequences


@pytest.fixture(params=["grpc", "http"])
def url(server: EmbeddedTriton, request: pytest.FixtureRequest) -> str:
    """Of either protocol."""
    return f"grpc://{server.grpc_url}" if request.param == "grpc" else f"http://{server.http_url}"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def plain(shade: int, height: int = 8, width: int = 8) -> np.ndarray[Any, Any]:
    return np.full((height, width, 3), shade, np.uint8)


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def stub_of(server: EmbeddedTriton, model: str) -> int:
    """The process of a model's only instance."""
    children = psutil.Process(server.pid).children()
    return next(child.pid for child in children if f"/{model}/1/" in str(child.cmdline()))


def shades(results: Any) -> list[int]:
    return [int(result.label_map[0, 0]) for result in results]


def test_questions_about_images(client: Client) -> None:
    green = np.zeros((20, 10, 3), np.uint8) + np.array((30, 200, 30), np.uint8)
    for image in (green, png(green)):
        results = client.answer("asking", image, ["what colour is it", "it"])
        assert [result.label for result in results] == ["green", "green"]
        assert results[0].probability > results[1].probability
    one, bad = client.ask("asking", {"image": green, "question": ["it", "why"]}, on_error="return")
    assert one.label == "green"
    assert "does not know the word 'why'" in str(bad)


def test_clips(client: Client) -> None:
    clip = [plain(0), plain(200), plain(0)]
    results = client.ask("watching", [clip, clip[1:] + clip[:1]])
    assert [result.label for result in results] == ["second", "first"]


def test_texts_and_their_words_one_by_one(client: Client) -> None:
    (text,) = client.translate("counting", "two and three")
    assert (text.text, text.tokens, text.log_probability) == ("three two one", (4, 3, 2, 1), -4.0)
    assert list(client.stream("counting", "two and three")) == COUNTED
    words = client.stream("counting", "three")
    assert next(words).text == "three"
    words.close()
    assert "".join(token.text for token in client.stream("counting", "two")) == "two one"
    with pytest.raises(InvalidInput, match="answers at once"):
        list(client.stream("asking", {"image": plain(1), "question": "it"}))


def test_words_one_by_one_awaited(url: str) -> None:
    async def run() -> list[Token]:
        async with AsyncClient(url) as client:
            words = client.stream("counting", "three")
            assert (await anext(words)).text == "three"
            await words.aclose()
            return [token async for token in client.stream("counting", "two and three")]

    assert asyncio.run(run()) == COUNTED


@pytest.mark.parametrize("given", [np.asarray, png], ids=["pixels", "files"])
def test_sessions_interleaved(client: Client, given: Any) -> None:
    with client.session("summing") as one, client.session("summing") as other:
        wide = other.segment([given(plain(2, 6, 9))] * 8)
        pairs = zip(one.segment([given(plain(1))] * 8), wide, strict=True)
        assert [shades(pair) for pair in pairs] == [[step, 2 * step % 11] for step in range(1, 9)]
        with pytest.raises(InvalidInput, match="this session's frames are 8 x 8"):
            next(one.segment([given(plain(1, 6, 9))]))
        assert shades(one.segment([given(plain(1))])) == [9]


def test_a_session_awaited(url: str) -> None:
    async def run() -> list[int]:
        async with AsyncClient(url) as client, client.session("summing") as session:
            return shades([result async for result in session.segment([plain(1), png(plain(1)), plain(1)])])

    assert asyncio.run(run()) == [1, 2, 3]


def test_a_killed_process_loses_its_sessions_and_no_others(server: EmbeddedTriton) -> None:
    with (
        Client(server.grpc_url) as client,
        client.session("summing") as other,
        client.session("mortal") as session,
    ):
        assert shades(other.segment([plain(3)])) == [3]
        kept = list(session.segment([plain(1), plain(1)]))
        os.kill(stub_of(server, "mortal"), signal.SIGKILL)
        with pytest.raises(SessionLost, match="lost after 2 frames") as lost:
            list(session.segment([plain(1)]))
        assert [*lost.value.done] == kept
        assert shades(other.segment([plain(3)])) == [6]


QUICK = Settings(duration=0.1, repeats=2, tolerance=10)


@pytest.mark.parametrize("endpoint", ["image", "tensor"])
def test_benchmarks_of_sessions_texts_and_clips(
    server: EmbeddedTriton, tmp_path: Path, endpoint: Literal["image", "tensor"]
) -> None:
    for number in range(6):
        Image.fromarray(plain(number)).save(tmp_path / f"{number}.png")
    options = {"url": server.grpc_url, "endpoint": endpoint, "images": tmp_path, "settings": QUICK}
    found = bench(Options("summing", sessions=(3,), **options))  # type: ignore[arg-type]
    assert [level.name for level in found.levels] == ["3 sessions"]
    for model in ("asking", "counting", *(["watching"] if endpoint == "tensor" else [])):
        report = bench(Options(model, concurrency=(2,), **options))  # type: ignore[arg-type]
        found = replace(found, levels=(*found.levels, *report.levels))
    assert not [level.errors for level in found.levels if level.errors]
    assert all(level.throughput.value > 0 for level in found.levels)


def test_what_a_benchmark_of_sessions_refuses(server: EmbeddedTriton, tmp_path: Path) -> None:
    Image.fromarray(plain(1)).save(tmp_path / "1.png")
    options = {"url": server.grpc_url, "images": tmp_path, "settings": QUICK}
    with pytest.raises(InvalidInput, match="remembers .* name how many sessions"):
        bench(Options("summing", **options))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="keeps nothing .* by clients"):
        bench(Options("asking", sessions=(1,), **options))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="an image alone, and 'asking' takes image and question"):
        bench(Options("asking", compare=("triton", "onnxruntime"), **options))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="leave rates"):
        Options("summing", sessions=(1,), rates=(3,))
