"""A real server for the tests of the server, the client and the benchmark."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from regard.export.artifact import Artifact
from regard.export.onnx_export import export_onnx
from regard.models.card import Card, InputContract, Origin, OutputContract
from regard.models.catalog import build
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

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
        repository: the model repository served from, watched for changes.
        classifier: name of a SE-ResNet18 for 28x28 images (stretched) in 10 classes; `<name>_image` takes encoded images.
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


def _export(name: str, builder: str, folder: Path, *, task: str, contract: InputContract, labels: int, options: dict[str, object]) -> Exported:
    torch.manual_seed(0)
    network = build(builder, num_classes=labels, **options)
    for module in network.modules():  # as if trained: with its initial statistics an untrained network answers much the same to everything
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    network.eval()
    card = Card.model_validate(
        {
            "name": name,
            "task": task,
            "input": contract,
            "output": OutputContract(labels=tuple(f"label {index}" for index in range(labels))),
            "origin": Origin(builder=builder, options=options),
        }
    )
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8) for _ in range(4)]
    return Exported(network, card, export_onnx(network, card, folder, images=images))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The classifier of `served`, exported."""
    return _export(
        CLASSIFIER,
        "se_resnet18",
        tmp_path_factory.mktemp("exported") / CLASSIFIER,
        task="classification",
        contract=InputContract(height=28, width=28, resize="stretch"),
        labels=10,
        options={"width": 16, "stem": "small"},
    )


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The segmenter of `served`, exported."""
    return _export(
        SEGMENTER,
        "ccnet_resnet18",
        tmp_path_factory.mktemp("exported") / SEGMENTER,
        task="segmentation",
        contract=InputContract(height=64, width=96, resize="none", dynamic_size=True, min_size=32, max_size=256, max_batch=4),
        labels=11,
        options={"output_stride": 16, "width": 16, "inner": 16},
    )


@pytest.fixture(scope="session")
def served(classifier: Exported, segmenter: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running server with a classifier and a segmenter; see `Served` for its fields."""
    folder = tmp_path_factory.mktemp("served")
    exported = {CLASSIFIER: classifier, SEGMENTER: segmenter}
    for each in exported.values():
        add(each.artifact, folder / "repository")
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository", http_port=http, grpc_port=grpc, metrics_port=metrics, watch=True, log=folder / "triton.log"
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
