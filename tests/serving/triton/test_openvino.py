"""Variants in OpenVINO, on a real server: their answers, the batches that a configuration leaves to the
backend, and what is refused.
"""

import http.client
import io
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serving.conftest import largest_channel, mean_colour
from tests.serving.variants import stripes, stripes_int8, variant_of
from tritonclient.utils import InferenceServerException

from regard.contract import preprocess
from regard.contract.goldens import read_goldens
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact
from regard.export.sessions.open_artifact import open_artifact
from regard.serving.client.sync import Client
from regard.serving.local.model import LocalModel
from regard.serving.repository import add
from regard.serving.triton.backends.files import FILES, HERE
from regard.serving.triton.canary import Canaries, Findings, first_answer
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.verify.bounds import largest_error
from regard.serving.verify.goldens import distance
from regard.serving.verify.served import verify_served

SIZES = {"colour": (8, 8), "largest": (20, 30), "stripes": (16, 16)}
OUTPUTS = {"colour": "probabilities", "largest": "label_map", "stripes": "probabilities"}
PRECISIONS = {"colour": "bf16", "largest": "bf16", "stripes": "int8"}
MODELS = [name + way for name in SIZES for way in ("", "_openvino")]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Three artifacts, and a variant of each."""
    folder = tmp_path_factory.mktemp("artifacts")
    own = {
        "colour": mean_colour(folder / "colour"),
        "largest": largest_channel(folder / "largest"),
        "stripes": stripes(folder / "stripes"),
    }
    variants = {
        f"{name}_openvino": variant_of(
            artifact,
            PRECISIONS[name],
            precision=PRECISIONS[name],
            graph=stripes_int8(artifact) if name == "stripes" else None,
        )
        for name, artifact in own.items()
    }
    return own | variants


@pytest.fixture(scope="module")
def server(
    artifacts: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedTriton]:
    """One that serves each of them, and has judged them by their goldens."""
    repository = tmp_path_factory.mktemp("openvino") / "repository"
    for name, artifact in artifacts.items():
        add(artifact, repository, name=name, instances=1)
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server:
        yield server


def images(name: str, count: int) -> list[Pixels]:
    shape = (*SIZES[name.partition("_")[0]], 3)
    return [np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8) for seed in range(count)]


def encoded(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def ask(infer: Any, name: str, endpoint: str, pixels: list[Pixels]) -> Any:
    """The answers of an endpoint to one request."""
    output = OUTPUTS[name.partition("_")[0]]
    if endpoint == "tensor":
        return infer(name, np.stack(pixels)).as_numpy(output)
    files = np.array([[encoded(image)] for image in pixels], dtype=object)
    return infer(f"{name}_image", files, input="encoded_image").as_numpy(output)


@pytest.mark.parametrize("endpoint", ["tensor", "image"])
@pytest.mark.parametrize("name", MODELS)
def test_every_batch_up_to_the_largest(
    server: EmbeddedTriton, artifacts: dict[str, Artifact], connect: Any, name: str, endpoint: str
) -> None:
    """Whether Triton knows the largest batch or the backend sees to it."""
    most = artifacts[name].card.input.max_batch
    pixels = images(name, most)
    local, output = LocalModel(artifacts[name].folder), OUTPUTS[name.partition("_")[0]]
    expected = local.client.infer(local.name, {"image": np.stack(pixels)}, [output])[output]
    with connect(server.grpc_url) as infer:
        for count in (1, 3, most, 2):
            answers = ask(infer, name, endpoint, pixels[:count])
            assert len(answers) == count
            np.testing.assert_allclose(answers, expected[:count], atol=1e-5)
        with pytest.raises(InferenceServerException, match=f"batch-size must be <= {most} for") as caught:
            ask(infer, name, endpoint, images(name, most + 1))
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_variant_is_verified_by_its_own_answers(
    server: EmbeddedTriton, artifacts: dict[str, Artifact]
) -> None:
    """Of the repository's version, and of the variant's folder; the artifact's answers are told as well."""
    for name in ("stripes_openvino", "largest_openvino"):
        for place in (None, artifacts[name].folder):
            done = verify_served(server.connection, name, repository=server.repository, artifact=place)
            assert done.passed
            assert max(check.error for check in done.checks) <= 1e-5
            worst = max(check.reference_error for check in done.checks)
            assert (0 < worst < 0.1) if name == "stripes_openvino" else worst == 0


def test_canaries_and_the_first_answer(server: EmbeddedTriton) -> None:
    """Both make up requests by what a configuration says of batches."""
    canaries = Canaries()
    first, second = canaries.send(server.connection), canaries.send(server.connection)
    assert first == second == Findings(proven=frozenset(server.served))
    for endpoint in ("largest_openvino", "largest_openvino_image"):
        assert first_answer(server.connection, endpoint, (1,)) is None


def test_a_client_sends_batches(server: EmbeddedTriton, artifacts: dict[str, Artifact]) -> None:
    """More images than the largest batch, as pixels and as files: each gets the answer it gets alone."""
    pixels = images("stripes_openvino", 12)
    local = LocalModel(artifacts["stripes_openvino"].folder)
    expected = [result.top for result in local.client.classify(local.name, pixels, top_k=5)]
    with Client(server.grpc_url) as client:
        for sent in (pixels, [encoded(image) for image in pixels]):
            found = client.classify("stripes_openvino", sent, top_k=5)
            for result, wanted in zip(found, expected, strict=True):
                assert [label for label, _ in result.top] == [label for label, _ in wanted]
                for (_, mine), (_, theirs) in zip(result.top, wanted, strict=True):
                    assert mine == pytest.approx(theirs, abs=1e-5)


def test_a_file_as_it_is_over_http(server: EmbeddedTriton, artifacts: dict[str, Artifact]) -> None:
    """As curl sends it, without a header that names shapes."""
    (pixels,) = images("stripes_openvino", 1)
    local = LocalModel(artifacts["stripes_openvino"].folder)
    expected = local.client.infer(local.name, {"image": pixels[None]}, ["probabilities"])["probabilities"]
    connection = http.client.HTTPConnection(server.http_url, timeout=60)
    headers = {"Content-Type": "image/png", "Inference-Header-Content-Length": "0"}
    connection.request("POST", "/v2/models/stripes_openvino_image/infer", encoded(pixels), headers)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    head = int(response.headers["Inference-Header-Content-Length"])
    np.testing.assert_allclose(np.frombuffer(body[head:], np.float32), expected[0], atol=1e-5)
    connection.close()


def test_no_images_at_all(server: EmbeddedTriton, connect: Any) -> None:
    with connect(server.grpc_url) as infer:
        for name, empty in (
            ("colour_openvino", np.zeros((0, 8, 8, 3), np.uint8)),
            ("colour_openvino_image", np.zeros((0, 1), object)),
            ("colour_image", np.zeros((0, 1), object)),
        ):
            with pytest.raises(InferenceServerException) as caught:
                infer(name, empty, input="image" if empty.ndim == 4 else "encoded_image")
            assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


BGR = ("    pixels = np.asarray(image)\n", "    pixels = np.asarray(image)[..., ::-1]\n")
MISSING = ("        import openvino\n", "        import openvino_that_is_missing as openvino\n")


@pytest.mark.parametrize(
    ("file", "edit", "words"),
    [
        (
            Path(preprocess.__file__),
            BGR,
            "stripes_openvino_image: version 1 refused: version 1 does not answer",
        ),
        (HERE / "openvino_graph.py", MISSING, "it runs in OpenVINO, which is not installed; install it with"),
    ],
    ids=["BGR", "no OpenVINO"],
)
def test_what_is_refused_alone(
    artifacts: dict[str, Artifact],
    tmp_path: Path,
    embedded: Any,
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
    edit: tuple[str, str],
    words: str,
) -> None:
    """A variant whose images are decoded otherwise on the server, or whose runtime is not there; the other
    models are served.
    """
    text = file.read_text()
    assert text.count(edit[0]) == 1
    (tmp_path / file.name).write_text(text.replace(*edit))
    files = [each for each in FILES["regard_image"] if each != file]
    monkeypatch.setitem(FILES, "regard_image", (*files, tmp_path / file.name))
    for name in ("stripes_openvino", "colour"):
        endpoints = "image" if name == "stripes_openvino" else "tensor"
        add(artifacts[name], tmp_path / "repository", name=name, instances=1, endpoints=endpoints)
    told: list[str] = []
    with embedded(tmp_path / "repository", strict=False, report=told.append) as server:
        assert [*server.served] == ["colour"]
    (refused,) = [line for line in told if "refused" in line]
    assert words in refused
    assert (f"computed by OpenVINO {version('openvino')}" in refused) is (edit is BGR)


@pytest.mark.parametrize("kind", ["largest", "stripes"])
def test_bounds_of_a_variant_tell_preprocessings_apart(artifacts: dict[str, Artifact], kind: str) -> None:
    """They are looser than a float32 graph's, and some golden passes them all the same by far."""
    variant = artifacts[f"{kind}_openvino"]
    answer = variant.card.answer
    assert variant.variant_of is not None
    goldens = read_goldens(variant.variant_of / "goldens", answers=variant.folder / "answers.npz")
    session = open_artifact(variant, threads=1)

    def worst(edited: Callable[[Pixels], Pixels]) -> float:
        """The largest error of a golden, in units of its bound."""
        ratios = []
        for golden in goldens:
            fitted = edited(variant.card.input.fit(golden.pixels))
            (found,) = session.run([answer.tensor], {"image": np.ascontiguousarray(fitted)[None]})
            largest = largest_error(answer, golden.answer, precision="bf16")
            ratios.append(distance(answer, golden.answer, found[0])[0] / largest)
        return max(ratios)

    assert worst(lambda pixels: pixels) <= 0.01
    assert worst(lambda pixels: np.roll(pixels, 1, axis=1)) > 1
    if kind == "stripes":  # the other sees colours in no order
        assert worst(lambda pixels: pixels[..., ::-1]) > 1
