"""Every network of the catalog goes end to end: exported, certified, taken by TensorRT-RTX's parser, added to
a repository, served; answers are PyTorch's.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.exports import Exports
from tests.rtx_parser import RtxParser
from tests.serving.conftest import network_and_card
from torch import nn

from regard.contract.card import Card
from regard.contract.image_input import ImageInput
from regard.contract.names import IMAGE
from regard.export.proof.image_trials import image_batch
from regard.export.proof.network_runner import NetworkRunner
from regard.export.proof.trial import Shape
from regard.models.catalog import CATALOG
from regard.models.families import ENTRIES
from regard.models.samples import sample_images
from regard.serving.repository import add, remove
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton

CLASSES = 5
# of each kind one that is quickly traced: attention in a backbone, images of one size, a warped image, crops,
# pooled instances, a pyramid for any size; the server's other tests have gates and criss-cross attention
REPRESENTATIVES = (
    "pam_resnet18",
    "vit_tiny",
    "stn_affine",
    "two_level",
    "mil_noisy_or_resnet18",
    "pspnet_resnet18",
)


def small_network(name: str) -> tuple[nn.Module, Card]:
    """A small network as if trained, and its Card."""
    entry = CATALOG[name]
    side = entry.small_size
    if entry.task == "classification" or entry.fixed_size:
        contract = ImageInput(height=side, width=side, resize="stretch", max_batch=4)
    else:
        contract = ImageInput(
            height=64, width=96, resize="none", dynamic_size=True, min_size=side, max_size=256, max_batch=4
        )
    return network_and_card(name, name, dict(entry.small), contract=contract, labels=CLASSES)


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


@pytest.mark.slow
@pytest.mark.sharded("name")
@pytest.mark.parametrize("name", [name for name in CATALOG if name not in ENTRIES])
def test_the_catalog(name: str, server: EmbeddedTriton, exports: Exports, rtx_parser: RtxParser) -> None:
    goes_end_to_end(name, server, exports, rtx_parser)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_one_of_each_kind(name: str, server: EmbeddedTriton, exports: Exports, rtx_parser: RtxParser) -> None:
    goes_end_to_end(name, server, exports, rtx_parser)


def goes_end_to_end(name: str, server: EmbeddedTriton, exports: Exports, rtx_parser: RtxParser) -> None:
    network, card = small_network(name)
    images = sample_images(card)
    artifact = exports.of(network, card, images)
    assert rtx_parser.refusal(artifact.model) is None
    batch = image_batch(images, Shape(2, card.input.height, card.input.width), card.input)
    expected = NetworkRunner(network, card).run({IMAGE: batch})[card.answer.tensor]
    add(artifact, server.repository, instances=1)
    server.update(at_once=True)
    try:
        with triton.InferenceServerClient(server.grpc_url) as client:
            pixels = triton.InferInput(IMAGE, list(batch.shape), "UINT8")
            pixels.set_data_from_numpy(batch)
            answer = client.infer(name, [pixels], client_timeout=300).as_numpy(card.answer.tensor)
    finally:
        remove(server.repository, name)
        server.update(at_once=True)
    assert answer.shape == expected.shape
    if card.task == "classification":
        assert np.abs(answer - expected).max() <= 1e-4
    assert card.answer.agreement(expected, answer) >= card.answer.min_agreement
