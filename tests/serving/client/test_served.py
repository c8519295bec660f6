"""The client against the real server: PyTorch's answers, by every way, and everything that can go wrong on
the way.
"""

import asyncio
import io
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from client_fakes import bomb, half, png
from PIL import Image
from tests.serving.conftest import photo

from regard.contract.image_files import as_served
from regard.contract.preprocess import decode, fit
from regard.contract.results import Classification, Segmentation
from regard.contract.rle import decode as decode_rle
from regard.errors import InferenceError, InvalidInput, RegardError, ServerUnreachable, UnknownName
from regard.serving.client import core
from regard.serving.client.aio import AsyncClient
from regard.serving.client.retry import passing
from regard.serving.client.sync import Client
from regard.serving.protocol.wire import Fault, Request
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

WAYS = {
    "grpc": ("grpc", False),
    "grpc, shared memory": ("grpc", True),
    "http": ("http", False),
    "http, shared memory": ("http", True),
}
TIMEOUT = 30  # seconds, the clients' own
DEVIATION = 1e-5  # of a probability: float32 sums in another order


def jpeg(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", **options)
    return stream.getvalue()


def in_torch(served, name, pixels):
    """PyTorch's answer for one image: probabilities, or the label map."""
    card = served.cards[name]
    contract = card.input
    fitted = fit(
        pixels,
        resize=contract.resize,
        height=contract.height,
        width=contract.width,
        interpolation=contract.interpolation,
        crop=contract.crop,
    )
    scaled = (torch.from_numpy(fitted.astype(np.float32) / 255) - torch.tensor(contract.mean)) / torch.tensor(
        contract.std
    )
    with torch.inference_mode():
        logits = served.networks[name](scaled.permute(2, 0, 1)[None])[0]
    return (logits.softmax(0) if card.task == "classification" else logits.argmax(0)).numpy()


def connect(served, protocol="grpc", **options):
    return Client(served.grpc_url if protocol == "grpc" else served.http_url, protocol=protocol, **options)


def connect_async(served, protocol="grpc", **options):
    return AsyncClient(
        served.grpc_url if protocol == "grpc" else served.http_url, protocol=protocol, **options
    )


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS.keys())
def client(request, served):
    protocol, shared_memory = request.param
    with connect(served, protocol, shared_memory=shared_memory) as client:
        yield client
        regions = client._core.regions.names()
    assert not [name for name in regions if Path("/dev/shm", name).exists()]


def close_to(result, reference):
    expected = dict(zip((f"label {index}" for index in range(10)), reference.tolist(), strict=True))
    return (
        all(abs(expected[label] - probability) <= DEVIATION for label, probability in result.top)
        and len(result.top) == 10
    )


def test_classes_equal_pytorchs(served, client):
    pixels = [photo(seed, 28 + seed, 40) for seed in range(6)]
    files = [jpeg(image) for image in pixels]
    by_tensor = client.classify(served.classifier, pixels, top_k=10)
    by_image = client.classify(served.classifier, files, top_k=10)
    for image, file, first, second in zip(pixels, files, by_tensor, by_image, strict=True):
        assert close_to(first, in_torch(served, served.classifier, image))
        assert close_to(second, in_torch(served, served.classifier, decode(file)))


def test_label_maps_equal_pytorchs(served, client):
    pixels = [photo(1, 64, 96), photo(2, 64, 96), photo(3, 33, 70), photo(4, 256, 256), photo(5, 256, 256)]
    for images in (pixels, [png(image) for image in pixels]):
        for image, result in zip(pixels, client.segment(served.segmenter, images), strict=True):
            assert result.label_map.shape == image.shape[:2]
            agreement = (result.label_map == in_torch(served, served.segmenter, image)).mean()
            assert len(np.unique(result.label_map)) >= 3
            assert agreement >= 0.999  # near ties between classes may fall either way
            assert sum(result.area.values()) == pytest.approx(1)


def test_every_way_gives_the_same_answer(served):
    batch = np.stack([photo(seed, 256, 256) for seed in range(4)])
    answers = []
    for protocol, shared_memory in WAYS.values():
        with connect(served, protocol, shared_memory=shared_memory) as client:
            answers.append(client.infer(served.segmenter, {"image": batch})["label_map"])
            answers.append(
                client.infer(served.segmenter, {"image": batch}, ["label_map"], version="1")["label_map"]
            )
            answers.append(
                np.stack([result.label_map for result in client.segment(served.segmenter, list(batch))])
            )
            if shared_memory:
                assert client._core.regions.enabled
                assert client._core.regions.names()
    assert not (answers[0] == answers[0][:1]).all()
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_both_clients_agree(served):
    images = [photo(seed) if seed % 2 else jpeg(photo(seed)) for seed in range(20)]
    sizes = [photo(seed, 32 + 32 * (seed % 2), 64) for seed in range(6)]

    async def ask(protocol):
        async with connect_async(served, protocol) as client:
            assert await client.ready()
            listed = await client.classify(served.classifier, images)
            streamed = [result async for result in client.classify(served.classifier, iter(images))]
            return listed, streamed, await client.segment(served.segmenter, sizes)

    with connect(served) as client:
        assert client.ready()
        classes, maps = client.classify(served.classifier, images), client.segment(served.segmenter, sizes)
    for protocol in ("grpc", "http"):
        listed, streamed, segmented = asyncio.run(ask(protocol))
        assert [result.label for result in listed] == [result.label for result in classes]
        assert [result.label for result in streamed] == [result.label for result in classes]
        for one, other in zip(segmented, maps, strict=True):
            np.testing.assert_array_equal(one.label_map, other.label_map)


def test_two_hundred_mixed_images_keep_their_order(served, tmp_path):
    pixels = [photo(seed % 23) for seed in range(200)]
    images = []
    for index, image in enumerate(pixels):
        path = tmp_path / f"{index:03}.png"
        path.write_bytes(png(image))
        images.append([image, png(image), path, str(path), Image.fromarray(image)][index * 7 % 5])
    with connect(served) as client:
        alone = [client.classify(served.classifier, pixels[seed])[0] for seed in range(23)]
        for results in (
            client.classify(served.classifier, images),
            list(client.classify(served.classifier, iter(images))),
        ):
            assert len(results) == 200
            for index, result in enumerate(results):
                assert result.probability == pytest.approx(alone[index % 23].probability, abs=DEVIATION)
                assert result.label == alone[index % 23].label
        folder = client.classify(served.classifier, tmp_path)
        assert [result.label for result in folder] == [alone[index % 23].label for index in range(200)]


def test_one_client_serves_many_threads(served, client):
    alone = [client.segment(served.segmenter, photo(seed, 96, 128))[0].label_map for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda index: client.segment(served.segmenter, photo(index % 8, 96, 128))[0].label_map,
                range(64),
            )
        )
    for index, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, alone[index % 8])


def test_results_outlive_the_client(served):
    with connect(served, shared_memory=True) as client:
        (result,) = client.segment(served.segmenter, photo(1, 256, 256))
        client.segment(served.segmenter, photo(2, 256, 256))
        again = client.segment(served.segmenter, photo(1, 256, 256))[0]
    np.testing.assert_array_equal(result.label_map, again.label_map)
    for label, rle in result.to_rle().items():
        np.testing.assert_array_equal(decode_rle(rle), result.label_map == result.labels.index(label))


# what is wrong with the call


def test_unknown_names_and_versions(served, client):
    with pytest.raises(UnknownName, match=f"Did you mean '{served.classifier}'"):
        client.classify("tiny_classifer", photo(1))
    with pytest.raises(UnknownName, match="no model named 'nothing_like_it'"):
        client.infer("nothing_like_it", {"image": photo(1)[None]})
    for method in (client.classify, client.infer):
        with pytest.raises(InvalidInput, match="has no version 77"):
            method(
                served.classifier,
                {"image": photo(1)[None]} if method == client.infer else photo(1),
                version="77",
            )


@pytest.mark.parametrize("version", [1, "1"])
def test_a_version_may_be_a_number(served, client, version):
    assert client.card(served.classifier, version=version).name == served.classifier
    by_tensor = client.classify(served.classifier, photo(1), version=version)
    by_image = client.classify(served.classifier, png(photo(1)), version=version)
    assert by_tensor[0].label == by_image[0].label
    assert client.infer(served.classifier, {"image": photo(1)[None]}, version=version)


@pytest.mark.parametrize("version", [7, "7", 2**31, 2**63, "9" * 30], ids=str)
def test_a_version_that_is_not_there(served, client, version):
    expected = f"model '{served.classifier}' has no version {version} on .*Served: 1."
    with pytest.raises(InvalidInput, match=expected):
        client.classify(served.classifier, photo(1), version=version)
    with pytest.raises(InvalidInput, match=expected):
        client.infer(served.classifier, {"image": photo(1)[None]}, version=version)


def test_the_endpoint_for_images_by_its_own_name(served, client):
    """It takes image files, as the model does, and nothing else."""
    endpoint = f"{served.classifier}_image"
    assert client.classify(endpoint, png(photo(1))) == client.classify(served.classifier, png(photo(1)))
    with pytest.raises(InvalidInput, match=f"image files alone: give .* or ask '{served.classifier}'"):
        client.classify(endpoint, photo(1))


@pytest.mark.parametrize(
    "inputs",
    [
        {"image": np.zeros((1, 28, 28, 3), np.float32)},
        {"image": np.zeros((1, 28, 29, 3), np.uint8)},
        {"image": np.zeros((28, 28, 3), np.uint8)},
        {"image": np.zeros((17, 28, 28, 3), np.uint8)},
        {"picture": np.zeros((1, 28, 28, 3), np.uint8)},
        {"image": np.array([[b"bytes"]], object)},
    ],
    ids=["dtype", "shape", "rank", "batch", "name", "bytes"],
)
def test_wrong_tensors_are_refused_by_the_server(served, client, inputs):
    with pytest.raises(InferenceError) as caught:
        client.infer(served.classifier, inputs)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.model == served.classifier
    assert client.classify(served.classifier, photo(1))


def test_wrong_outputs_are_refused_by_the_server(served, client):
    with pytest.raises(InferenceError) as caught:
        client.infer(served.classifier, {"image": photo(1)[None]}, ["logits"])
    assert caught.value.code == "INVALID_ARGUMENT"


BAD = {
    "empty": b"",
    "truncated": half(),
    "not an image": b"%PDF-1.7 not an image",
    "bomb": bomb(),
    "missing": "missing.png",
    "float": np.zeros((28, 28, 3), np.float32),
}


@pytest.mark.parametrize("image", BAD.values(), ids=BAD.keys())
def test_a_bad_image_does_not_stop_the_others(served, client, image):
    images = [photo(1), jpeg(photo(2)), image, jpeg(photo(3)), photo(4)]
    results = client.classify(served.classifier, images, on_error="return")
    assert [type(result) for result in results] == [
        Classification,
        Classification,
        InvalidInput,
        Classification,
        Classification,
    ]
    assert str(results[2]).startswith("missing.png" if isinstance(image, str) else "images[2]")
    with pytest.raises(InvalidInput):
        client.classify(served.classifier, images)


def encoded_as(mode, **options):
    stream = io.BytesIO()
    wide = Image.fromarray((np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64))
    image = wide if mode == "I;16" else Image.fromarray(photo(1, 64, 64)).convert(mode)
    image.save(stream, **({"format": "JPEG" if mode == "CMYK" else "PNG"} | options))
    return stream.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(photo(1, 64, 96), exif=exif)


ODD = {
    "16-bit": encoded_as("I;16"),
    "CMYK": encoded_as("CMYK"),
    "palette": encoded_as("P"),
    "alpha": encoded_as("RGBA"),
    "grey": encoded_as("L"),
    "webp": encoded_as("RGB", format="WEBP"),
    "bmp": encoded_as("RGB", format="BMP"),
    "gif": encoded_as("P", format="GIF"),
    "tiff": encoded_as("RGBA", format="TIFF", compression="tiff_lzw"),
    "turned": turned(),
    "1x1": png(photo(1, 1, 1)),
}


@pytest.mark.parametrize("image", ODD.values(), ids=ODD.keys())
def test_odd_images_are_served_as_pytorch_sees_them(served, client, image):
    pixels = decode(as_served(image, "the image"))
    (result,) = client.classify(served.classifier, image, top_k=10)
    assert close_to(result, in_torch(served, served.classifier, pixels))
    (same,) = client.classify(served.classifier, Image.open(io.BytesIO(image)), top_k=10)
    assert close_to(same, in_torch(served, served.classifier, pixels))
    if min(pixels.shape[:2]) >= 32:
        (segmented,) = client.segment(served.segmenter, image)
        assert segmented.label_map.shape == pixels.shape[:2]


@pytest.mark.parametrize("shape", [(1, 1), (31, 64), (64, 257)])
def test_sizes_a_segmenter_does_not_take(served, client, shape):
    for image in (photo(1, *shape), png(photo(1, *shape))):
        with pytest.raises(InvalidInput, match="sides from 32 to 256"):
            client.segment(served.segmenter, image)


# time, death and cancellation


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_deadline_too_short_is_met(served, protocol):
    with connect(served, protocol) as client:
        client.card(served.segmenter)
        with pytest.raises(InferenceError) as caught:
            client.segment(served.segmenter, [photo(seed, 256, 256) for seed in range(400)], timeout=0.2)
        # the front says at once that there is no time
        assert caught.value.code in ("DEADLINE_EXCEEDED", *(["UNAVAILABLE"] * (protocol == "http")))
        assert client.segment(served.segmenter, photo(1, 64, 64))


def test_a_client_that_gave_up_leaves_no_region_on_the_server(served, monkeypatch):
    """Though the server still computes with one as the client closes."""
    monkeypatch.setattr(core, "FAREWELL", float(TIMEOUT))  # on a slow machine it computes longer
    with connect(served, "grpc") as other:
        before = set(other._transport.regions(timeout=TIMEOUT))
        with connect(served, "grpc") as client:
            client.segment(served.segmenter, photo(0, 256, 256))
            with pytest.raises(InferenceError, match="within"):
                client.segment(served.segmenter, [photo(seed, 256, 256) for seed in range(400)], timeout=0.3)
            assert client._core.regions._stale
        assert set(other._transport.regions(timeout=TIMEOUT)) == before


def test_a_closed_stream_leaves_the_client_usable(served, client):
    stream = client.segment(served.segmenter, (photo(seed, 128, 128) for seed in range(10**6)))
    assert isinstance(next(stream), Segmentation)
    stream.close()
    assert client.segment(served.segmenter, photo(1, 64, 64))


def test_a_cancelled_task_leaves_the_client_usable(served):
    async def main(protocol):
        async with connect_async(served, protocol) as client:
            await client.card(served.segmenter)
            task = asyncio.ensure_future(
                client.segment(served.segmenter, [photo(seed, 256, 256) for seed in range(64)])
            )
            await asyncio.wait([task], timeout=0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.segment(served.segmenter, photo(1, 64, 64))

    for protocol in ("grpc", "http"):
        asyncio.run(main(protocol))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_no_server(protocol):
    (port,) = free_ports(1)
    with Client(f"127.0.0.1:{port}", protocol=protocol) as client:
        start = time.monotonic()
        assert not client.ready()
        with pytest.raises(
            ServerUnreachable, match=f"no server answers at 127.0.0.1:{port} .*`regard serve`"
        ):
            client.classify("any", photo(1))
        assert time.monotonic() - start < TIMEOUT


@pytest.mark.parametrize("wrong", ["grpc", "http"])
def test_the_other_protocols_port(served, wrong):
    with (
        Client(served.http_url if wrong == "grpc" else served.grpc_url, protocol=wrong, timeout=10) as client,
        pytest.raises(ServerUnreachable),
    ):
        client.classify(served.classifier, photo(1))


def test_a_server_that_dies_amid_a_batch(served):
    """kill -9, and nobody starts it again: a clear error from every client at its deadline, and no region
    left.
    """
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(served.repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server:
        clients = [
            Client(server.grpc_url, timeout=3),
            Client(server.http_url, protocol="http", timeout=3),
        ]
        streams = [
            each.segment(served.segmenter, (photo(seed, 256, 256) for seed in range(10**6)))
            for each in clients
        ]
        for stream in streams:
            assert isinstance(next(stream), Segmentation)
        regions = [name for each in clients for name in each._core.regions.names()]
        os.kill(server.pid, signal.SIGKILL)
        for stream, each in zip(streams, clients, strict=True):
            # the last attempt may be under way at the deadline
            with pytest.raises(RegardError, match=r"no server answers|no answer from .* within 3 s"):
                for _ in stream:
                    pass
            with pytest.raises(RegardError, match=r"no server answers|no answer from .* within 3 s"):
                each.classify(served.classifier, photo(1))
            each.close()
        assert regions
        assert not [name for name in regions if Path("/dev/shm", name).exists()]


def stub_of(server, model):
    """The process of a model's one instance that was started last."""
    return max(
        child.pid for child in psutil.Process(server.pid).children() if f"/{model}/1/" in str(child.cmdline())
    )


def test_restarts_lose_nothing(served):
    """After a model's process was killed, in good order, and after the server was killed; under clients of
    every way and both endpoints.
    """
    http, grpc, metrics = free_ports(3)
    server = EmbeddedTriton(served.repository, http_port=http, grpc_port=grpc, metrics_port=metrics)
    image, done = photo(1, 256, 256), threading.Event()

    def ask(way, given):
        protocol, shared_memory = way
        with connect(server, protocol, shared_memory=shared_memory, timeout=120) as client:
            (first,) = client.segment(served.segmenter, given)
            ready.wait(timeout=120)
            answers = []
            while not done.is_set():
                answers += client.segment(served.segmenter, given)
            return [bool((answer.label_map == first.label_map).all()) for answer in answers]

    kinds = [(way, given) for way in WAYS.values() for given in (image, png(image))]
    ready = threading.Barrier(len(kinds) + 1)
    with ThreadPoolExecutor(len(kinds)) as threads:
        server.start()
        try:
            asked = [threads.submit(ask, *kind) for kind in kinds]
            ready.wait(timeout=120)
            os.kill(stub_of(server, served.segmenter), signal.SIGKILL)
            request = Request(served.segmenter, "", {"image": image[None]})
            with pytest.raises(Fault) as caught:  # another instance may answer first
                all(server.connection.infer(request, timeout=60) for _ in count())
            assert passing(caught.value, met=False)
            for stop in (lambda: server.stop(grace=1), lambda: os.kill(server.pid, signal.SIGKILL)):
                stop()
                server.stop(grace=0)
                server.resume()
        finally:
            done.set()
            answers = [each.result() for each in asked]
            server.stop(grace=0)
    assert all(answers)  # not empty
    assert all(right for each in answers for right in each)


def test_a_restarted_server_is_found_again(served):
    """Shared regions and kept connections of the old one do no harm."""
    http, grpc, metrics = free_ports(3)
    server = EmbeddedTriton(served.repository, http_port=http, grpc_port=grpc, metrics_port=metrics)
    with Client(server.grpc_url) as by_grpc, Client(server.http_url, protocol="http") as by_http:
        answers = []
        for _ in range(2):
            server.start()
            try:
                answers += [
                    client.segment(served.segmenter, photo(1, 256, 256))[0].label_map
                    for client in (by_grpc, by_http)
                ]
            finally:
                server.stop(grace=0)
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])
