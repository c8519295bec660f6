"""Every system of the catalog goes end to end: exported, certified, added to a repository, served;
answers are PyTorch's.

A system that comes on several backbones or in several sizes goes it once, in the first of the catalog; a
segmenter on MobileNetV2, whose tracing is slow, once.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton

from regard.contract.card import Card, InputContract, Origin, OutputContract
from regard.contract.names import ANSWERS, IMAGE
from regard.export.onnx_export import export_onnx
from regard.export.proof.comparison import BOUNDS
from regard.export.proof.network_runner import NetworkRunner
from regard.export.proof.trials import Shape, image_batch
from regard.models.catalog import CATALOG, build
from regard.models.samples import sample_images
from regard.serving.repository import add, remove
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

CLASSES = 5
ON_MOBILENET_V2 = "fcn_mobilenet_v2"
SIZE = re.compile(r"_(resnet|mobilenet_v|tiny|small|base|7|14)$")


def system_of(name: str) -> str:
    """A name without its backbone, depth and size: small networks of one system differ in nothing else, if at
    all.
    """
    return SIZE.sub("", re.sub(r"(?<=[a-z])\d+", "", name))


NAMES = [*{system_of(name): name for name in reversed(CATALOG)}.values(), ON_MOBILENET_V2]


def small_network(name: str) -> tuple[torch.nn.Module, Card]:
    """A small network as if trained - with its initial statistics it would answer much the same to everything
    -, and its Card.
    """
    entry = CATALOG[name]
    torch.manual_seed(0)
    network = build(name, num_classes=CLASSES, **entry.small)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    side = entry.small_size
    if entry.task == "classification" or entry.fixed_size:
        contract = InputContract(height=side, width=side, resize="stretch", max_batch=4)
    else:
        contract = InputContract(
            height=64, width=96, resize="none", dynamic_size=True, min_size=side, max_size=256, max_batch=4
        )
    labels = OutputContract(labels=tuple(f"label {index}" for index in range(CLASSES)))
    origin = Origin(builder=name, options=dict(entry.small))
    return network.eval(), Card(name=name, task=entry.task, input=contract, output=labels, origin=origin)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """One watching server for all of them, without a model to begin with."""
    folder = tmp_path_factory.mktemp("end_to_end")
    (folder / "repository").mkdir()
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        watch=True,
        log=folder / "log",
    ) as running:
        yield running


def wait_until_ready(client: triton.InferenceServerClient, name: str, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not client.is_model_ready(name):
        assert time.monotonic() < deadline, f"{name} is not ready after {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("name", NAMES)
def test_end_to_end(name: str, server: EmbeddedTriton, tmp_path: Path) -> None:
    network, card = small_network(name)
    images = sample_images(card)
    artifact = export_onnx(network, card, tmp_path / name, images=images)
    batch = image_batch(images, Shape(2, card.input.height, card.input.width), card.input)
    expected = NetworkRunner(network, card).run({IMAGE: batch})[ANSWERS[card.task]]
    add(artifact, server.repository, instances=1)
    try:
        with triton.InferenceServerClient(server.grpc_url) as client:
            wait_until_ready(client, name)
            pixels = triton.InferInput(IMAGE, list(batch.shape), "UINT8")
            pixels.set_data_from_numpy(batch)
            answer = client.infer(name, [pixels], client_timeout=60).as_numpy(ANSWERS[card.task])
    finally:
        remove(server.repository, name)
    assert answer.shape == expected.shape
    if card.task == "classification":
        assert np.abs(answer - expected).max() <= 1e-4
        assert (answer.argmax(axis=1) == expected.argmax(axis=1)).all()
    else:
        assert (answer == expected).mean() >= BOUNDS["segmentation"].agreement


def test_every_system_is_tried() -> None:
    on_it = {system_of(name) for name in NAMES}
    assert on_it == {system_of(name) for name in CATALOG}
    assert {
        "san_pairwise",
        "attention",
        "senet",
        "stn_tps",
        "vit",
        "eamlp",
        "racnn",
        "pan",
        "gc",
        "generalized_attention_1111",
    } <= on_it
