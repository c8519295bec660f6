"""A real server for the tests of the server, the client and the benchmark, and models of a few nodes for
tests of the server alone.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
import tritonclient.grpc as triton
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tests.exports import Exports
from torch import nn

from regard.contract.answers import KINDS, Classes, LabelMap
from regard.contract.card import Card, Origin
from regard.contract.certificate import Certificate, Comparison
from regard.contract.digest import sha256
from regard.contract.image_input import ImageInput
from regard.contract.manifest import write_manifest
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact, read_artifact
from regard.export.graph.metadata import describe
from regard.export.proof.goldens import write_goldens
from regard.export.proof.graph_runner import GraphRunner
from regard.models.catalog import build, find
from regard.models.load.awake import awaken
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

Infer = Callable[..., Any]
CLASSES = 11
CLASSIFIER = "tiny_classifier"
SEGMENTER = "tiny_segmenter"


@dataclass(frozen=True)
class Exported:
    """A network of the catalog, untrained, with its Card and what `export_onnx` made of it."""

    network: nn.Module
    card: Card
    artifact: Artifact


@dataclass(frozen=True)
class Served:
    """A running server with two models. Tests share it: leave it as you found it.

    Attributes:
        grpc_url, http_url, metrics_url: host and port, without a scheme.
        repository: the model repository served from.
        classifier: name of a SE-ResNet18 for 28x28 images (stretched) in 10 classes; `<name>_image` takes
            encoded images.
        segmenter: name of a CCNet on ResNet18 for 11 classes and any size from 32 to 256; likewise.
        networks: name -> the torch network in evaluation mode, to compare answers with.
        cards: name -> its Card.
        log: the server's log.
        pid: the server's process.
    """

    grpc_url: str
    http_url: str
    metrics_url: str
    repository: Path
    classifier: str
    segmenter: str
    networks: dict[str, nn.Module]
    cards: dict[str, Card]
    log: Path
    pid: int


def photo(seed: int, height: int = 28, width: int = 28) -> Pixels:
    """Smooth random colours, which survive JPEG."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def as_if_trained(network: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics drawn at random: with its initial ones an untrained network answers
    much the same to everything.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def network_and_card(
    name: str, builder: str, options: dict[str, object], *, contract: ImageInput, labels: int
) -> tuple[nn.Module, Card]:
    """A network of the catalog as if trained, and its Card."""
    torch.manual_seed(0)
    network = as_if_trained(build(builder, num_classes=labels, **options))
    answer = KINDS[find(builder).task](labels=tuple(f"label {index}" for index in range(labels)))
    origin = Origin(builder=builder, options=options)
    card = Card(name=name, inputs=(contract,), answer=answer, origin=origin)
    awaken(network, card)
    return network, card


@pytest.fixture(scope="session")
def classifier(exports: Exports) -> Exported:
    """The classifier of `served`, exported."""
    network, card = network_and_card(
        CLASSIFIER,
        "se_resnet18",
        {"width": 16, "stem": "small"},
        contract=ImageInput(height=28, width=28, resize="stretch"),
        labels=10,
    )
    return Exported(network, card, exports.of(network, card, [photo(seed) for seed in range(4)]))


@pytest.fixture(scope="session")
def segmenter(exports: Exports) -> Exported:
    """The segmenter of `served`, exported. It sees several classes in a photo: an answer that is the same for
    all images would prove neither order nor pixels.
    """
    network, card = network_and_card(
        SEGMENTER,
        "ccnet_resnet18",
        {"output_stride": 16, "width": 16, "inner": 16},
        contract=ImageInput(
            height=64, width=96, resize="none", dynamic_size=True, min_size=32, max_size=256, max_batch=4
        ),
        labels=11,
    )
    images = [photo(seed, 64, 96) for seed in range(4)]
    last = network.classifier[-1]
    with torch.inference_mode():
        scores = network(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255)
        mean, spread = scores.mean((0, 2, 3)), scores.std((0, 2, 3))
        last.weight.copy_(last.weight / spread[:, None, None, None])
        last.bias.copy_((last.bias - mean) / spread)
    return Exported(network, card, exports.of(network, card, images))


@pytest.fixture(scope="session")
def served(
    classifier: Exported, segmenter: Exported, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A running server with a classifier and a segmenter; see `Served` for its fields."""
    folder = tmp_path_factory.mktemp("served")
    exported = {CLASSIFIER: classifier, SEGMENTER: segmenter}
    for each in exported.values():
        add(each.artifact, folder / "repository", batching=True)
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        log=folder / "triton.log",
    ) as server:
        yield Served(
            grpc_url=server.grpc_url,
            http_url=server.http_url,
            metrics_url=server.metrics_url,
            repository=folder / "repository",
            classifier=CLASSIFIER,
            segmenter=SEGMENTER,
            networks={name: each.network for name, each in exported.items()},
            cards={name: each.card for name, each in exported.items()},
            log=folder / "triton.log",
            pid=server.pid,
        )


def largest_channel(folder: Path, *, bias: int = 0) -> Artifact:
    """A "segmenter" for any size: label_map = (largest channel + bias) mod CLASSES."""
    folder.mkdir(parents=True)
    constants: dict[str, npt.NDArray[Any]] = {
        "axis": np.array([3], np.int64),
        "bias": np.array(bias, np.uint8),
        "classes": np.array(CLASSES, np.uint8),
    }
    size = ["batch", "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["image", "axis"], ["largest"], keepdims=0),
            helper.make_node("Add", ["largest", "bias"], ["moved"]),
            helper.make_node("Mod", ["moved", "classes"], ["label_map"]),
        ],
        "largest_channel",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*size, 3])],
        [helper.make_tensor_value_info("label_map", TensorProto.UINT8, size)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    card = Card(
        name="largest",
        inputs=(
            ImageInput(
                height=48, width=64, resize="none", dynamic_size=True, min_size=16, max_size=128, max_batch=4
            ),
        ),
        answer=LabelMap(labels=tuple(f"label {index}" for index in range(CLASSES))),
        origin=Origin(builder="tests:largest_channel"),
    )
    return write(folder, graph, card)


def mean_colour(folder: Path) -> Artifact:
    """A "classifier" in three classes for 8x8 images: probabilities = softmax(mean colour / 32)."""
    folder.mkdir(parents=True)
    constants: dict[str, npt.NDArray[Any]] = {
        "axes": np.array([1, 2], np.int64),
        "scale": np.array(32, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "scale"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    card = Card(
        name="colour",
        inputs=(ImageInput(height=8, width=8, resize="stretch", max_batch=8),),
        answer=Classes(labels=("red", "green", "blue")),
        origin=Origin(builder="tests:mean_colour"),
    )
    return write(folder, graph, card)


def write(folder: Path, graph: onnx.GraphProto, card: Card) -> Artifact:
    """An artifact of a graph whose answers need no other proof than its arithmetic."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    describe(model, card)
    onnx.save(model, folder / "model.onnx")
    outputs = {value.name: value.name for value in model.graph.output}
    runner = GraphRunner(model, outputs, sha256=sha256(folder / "model.onnx"))
    certificate = Certificate(
        reference="the test's arithmetic",
        candidate=runner.name,
        candidate_sha256=runner.sha256,
        images="none",
        max_error=1e-4,
        min_agreement=1.0,
        comparisons=(
            Comparison(batch=1, height=8, width=8, traced=False, max_error=0, relative_error=0, agreement=1),
        ),
    )
    card = card.updated(certificates=(certificate.model_dump(),))
    (folder / "card.json").write_text(card.to_json())
    images = [np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)]
    write_goldens(folder, card, images, [], reference=runner, candidate=runner)
    write_manifest(folder)
    return read_artifact(folder)


@pytest.fixture
def largest(tmp_path: Path) -> Artifact:
    return largest_channel(tmp_path / "artifacts" / "largest")


@pytest.fixture
def colour(tmp_path: Path) -> Artifact:
    return mean_colour(tmp_path / "artifacts" / "colour")


@pytest.fixture
def biased(tmp_path: Path) -> Artifact:
    """A new version of `largest`: its labels are one higher."""
    return largest_channel(tmp_path / "artifacts" / "biased", bias=1)


@pytest.fixture
def repository(tmp_path: Path, largest: Artifact, colour: Artifact) -> Path:
    """A repository of both, one instance each."""
    for artifact in (largest, colour):
        add(artifact, tmp_path / "repository", instances=1)
    return tmp_path / "repository"


@pytest.fixture
def embedded() -> Callable[..., EmbeddedTriton]:
    """`embedded(repository, **options)`: a server on free ports, not yet started."""

    def make(repository: Path, **options: Any) -> EmbeddedTriton:
        http, grpc, metrics = free_ports(3)
        return EmbeddedTriton(
            repository, **({"http_port": http, "grpc_port": grpc, "metrics_port": metrics} | options)
        )

    return make


@pytest.fixture
def connect() -> Callable[[str], AbstractContextManager[Infer]]:
    """`with connect(grpc_url) as infer: infer(model, array, *, input="image", **options)` returns
    tritonclient's result.
    """

    @contextmanager
    def open_(url: str) -> Iterator[Infer]:
        with triton.InferenceServerClient(url) as client:

            def infer(
                model: str,
                array: npt.NDArray[Any],
                *,
                input: str = "image",
                kind: str | None = None,
                **options: Any,
            ) -> Any:
                kinds = {np.dtype(np.uint8): "UINT8", np.dtype(np.float32): "FP32", np.dtype(object): "BYTES"}
                tensor = triton.InferInput(input, list(array.shape), kind or kinds[array.dtype])
                tensor.set_data_from_numpy(array)
                return client.infer(model, [tensor], **({"client_timeout": 60} | options))

            yield infer

    return open_
