"""The backend for image files answers alike whether it computes itself or asks the model, and as the ensemble
of an earlier regard did.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image
from tests.serving.conftest import largest_channel, mean_colour
from tests.serving.repository.former_layout import add_as_before
from tests.serving.repository.repositories import config_of, unchecked
from tritonclient.utils import InferenceServerException

from regard.errors import ServerError
from regard.serving.bench import inside as inside_module
from regard.serving.bench.inside import Inside
from regard.serving.bench.target import find_target
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect as connect_to
from regard.serving.protocol.credentials import Credentials
from regard.serving.repository import add
from regard.serving.repository.config import to_text
from regard.serving.triton.backends.regard_image.stages import PARAMETER
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

WAYS = ("computes", "calls", "ensemble")


def change(folder: Path, *, all_versions: bool = False, delay: int = 0, **parameters: str) -> None:
    """Set parameters of an endpoint, and have it keep all its versions, or wait so many microseconds for
    requests to batch.
    """
    config = config_of(folder)
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    if delay:
        config.dynamic_batching.max_queue_delay_microseconds = delay
    if all_versions:
        config.version_policy.all.SetInParent()
    (folder / "config.pbtxt").write_text(to_text(config))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A server of a segmenter and a classifier for each way, and a segmenter in two versions."""
    folder = tmp_path_factory.mktemp("ways")
    repository = folder / "repository"
    first, second = largest_channel(folder / "first"), largest_channel(folder / "second", bias=1)
    for way in WAYS:
        for kind, artifact in {"segmenter": first, "classifier": mean_colour(folder / way)}.items():
            name = f"{kind}_{way}"
            if way == "ensemble":
                add_as_before(artifact, repository=repository, name=name)
                continue
            add(artifact, repository, name=name, instances=1, batching=way == "calls")
            if way == "calls":
                change(repository / f"{name}_image", compute="model")
                change(repository / name, delay=100_000)
    for artifact in (first, second):
        add(artifact, repository, name="versions", instances=1)
    change(repository / "versions", all_versions=True)
    change(repository / "versions_image", all_versions=True, compute="model")
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server:
        yield server


@pytest.fixture(scope="module")
def url(server: EmbeddedTriton) -> str:
    return server.grpc_url


def photo(seed: int, size: tuple[int, int] = (40, 24), kind: str = "PNG", mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def files(*images: bytes) -> Any:
    return np.array([[image] for image in images], dtype=object)


@pytest.mark.parametrize(
    "images",
    [
        [photo(1)],
        [photo(1, kind="JPEG"), photo(2, kind="WEBP"), photo(3, mode="L")],
        [photo(seed, (100, 90), "JPEG", "CMYK") for seed in range(4)],
    ],
    ids=["one", "three kinds", "four"],
)
@pytest.mark.parametrize("kind", ["segmenter", "classifier"])
def test_every_way_gives_the_same_answers(url: str, connect: Any, kind: str, images: list[bytes]) -> None:
    output = {"segmenter": "label_map", "classifier": "probabilities"}[kind]
    with connect(url) as infer:
        computed, called, before = (
            infer(f"{kind}_{way}_image", files(*images), input="encoded_image").as_numpy(output)
            for way in WAYS
        )
    assert len(computed) == len(images)
    np.testing.assert_array_equal(computed, called)
    np.testing.assert_array_equal(computed, before)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([photo(1), photo(2)[:90]], "image 1 of the request: the image is damaged"),
        ([b""], "image 0 of the request: the image is empty"),
        ([photo(1, (15, 40))], r"it is 40 x 15 \(height x width\), and the model takes 16 to 128 on a side"),
        ([photo(1, (40, 129))], "it is 129 x 40"),
        ([photo(1), photo(2, (24, 40))], "must share a size, got 24 x 40, 40 x 24"),
        ([photo(1)] * 5, "batch-size must be <= 4"),
    ],
    ids=["damaged", "empty", "too small", "too large", "sizes", "batch"],
)
def test_every_way_refuses_alike(url: str, connect: Any, images: list[bytes], words: str) -> None:
    said = []
    with connect(url) as infer:
        for way in WAYS:
            with pytest.raises(InferenceServerException, match=words) as caught:
                infer(f"segmenter_{way}_image", files(*images), input="encoded_image")
            said.append((caught.value.status(), str(caught.value.message()).replace(way, "")))
    assert said[0] == said[1]
    # an ensemble tells which of its parts failed
    assert said[0][0] == said[2][0] == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize("way", WAYS)
def test_outputs_that_there_are_not(url: str, connect: Any, way: str) -> None:
    name = f"segmenter_{way}_image"
    wanted = [triton.InferRequestedOutput("logits")]
    with connect(url) as infer, pytest.raises(InferenceServerException, match="'logits' for model") as caught:
        infer(name, files(photo(1)), input="encoded_image", outputs=wanted)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize("way", ["computes", "calls"])
def test_many_at_once_get_their_own_answers(url: str, connect: Any, way: str) -> None:
    """Some of them bad. Where the model is called, its own statistics tell that it was, and in batches."""
    sizes = [(16 + 8 * (seed // 16), 24) for seed in range(48)]
    images = [photo(seed, size) for seed, size in enumerate(sizes)]

    def ask(index: int) -> Any:
        image = b"no image" if index % 12 == 5 else images[index]
        try:
            answer = infer(f"segmenter_{way}_image", files(image), input="encoded_image")
        except InferenceServerException as error:
            return str(error.message())
        return answer.as_numpy("label_map")[0]

    def counts() -> tuple[int, int]:
        with triton.InferenceServerClient(url) as client:
            (own,) = client.get_inference_statistics(f"segmenter_{way}").model_stats
        return own.inference_count, own.execution_count

    before = counts()
    with connect(url) as infer, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(48)))
    inferences, executions = (after - count for after, count in zip(counts(), before, strict=True))
    for index, answer in enumerate(answers):
        if index % 12 == 5:
            assert "image 0 of the request" in answer
        else:
            pixels = np.asarray(Image.open(io.BytesIO(images[index])))
            np.testing.assert_array_equal(answer, pixels.max(2) % 11)
    assert inferences == (44 if way == "calls" else 0)
    assert way == "computes" or executions < inferences


def test_the_version_that_was_asked_for_is_called(url: str, connect: Any) -> None:
    dark = io.BytesIO()
    Image.new("RGB", (20, 20), (3, 3, 3)).save(dark, "PNG")
    with connect(url) as infer:
        for version, label in (("1", 3), ("2", 4), ("", 4)):
            answer = infer(
                "versions_image", files(dark.getvalue()), input="encoded_image", model_version=version
            )
            assert (answer.as_numpy("label_map") == label).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"compute": "elsewhere"}, "parameter compute must be 'process' or 'model', got 'elsewhere'"),
        ({"compute": "model", "model": ""}, "parameter model must name the model that computes"),
        ({"intra_op_thread_count": "many"}, "number of threads"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(
    tmp_path: Path, largest: Any, embedded: Any, parameters: dict[str, str], words: str
) -> None:
    repository = tmp_path / "repository"
    add(largest, repository, endpoints="image", instances=1)
    change(repository / "largest_image", **parameters)
    with pytest.raises(ServerError, match="model 'largest_image'") as caught:
        embedded(repository).start()
    assert words in str(caught.value)


def test_a_graph_that_contradicts_the_configuration_is_refused(
    tmp_path: Path, largest: Any, colour: Any, embedded: Any
) -> None:
    repository = tmp_path / "repository"
    add(largest, repository, endpoints="image", instances=1)
    (repository / "largest_image" / "1" / "model.onnx").write_bytes(colour.model.read_bytes())
    with pytest.raises(ServerError, match=r"'largest_image'.*unexpected inference output 'label_map'"):
        embedded(repository, check=unchecked).start()


@pytest.mark.parametrize("way", WAYS)
def test_requests_that_ask_are_counted_by_stage(
    server: EmbeddedTriton, connect: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """And no others. An ensemble takes the question, and does not answer it."""
    target = find_target(
        connect_to(address_of(server.grpc_url), Credentials()),
        f"segmenter_{way}",
        endpoint="image",
        batch=1,
        images=[photo(1)],
        shared_memory=False,
    )
    inside = Inside(target, address_of(server.metrics_url, "http"))
    with connect(server.grpc_url) as infer:
        for parameters in (None, {PARAMETER: True}, {PARAMETER: True}):
            infer(target.name, files(photo(1)), input="encoded_image", parameters=parameters)
    means = inside.means(2)
    if way == "ensemble":
        assert means is None
        assert inside.why is not None
        assert "an ensemble of an earlier regard" in inside.why
    else:
        assert means is not None
        assert min(means[stage] for stage in ("decode", "infer")) > 0
        monkeypatch.setattr(inside_module, "COUNTED", 0.5)
        assert inside.means(1) is None  # two asked, not three
        assert inside.why is not None
        assert "counts 0 of 1 requests" in inside.why
    target.connection.close()
