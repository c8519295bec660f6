"""What a Card can state beyond one class of an RGB image, down the whole road to a client."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.exports import Exports
from tests.serving.conftest import photo
from torch import Tensor, nn

from regard import Client
from regard.contract.answers import Classes, LabelMap
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.repository import add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.verify.served import verify_served

Served = tuple[EmbeddedTriton, Path]  # with its repository
ORIGIN = Origin(builder="tests:Colours")


class Colours(nn.Module):
    """How much of each channel there is, over the image or in each pixel: (B, C, H, W) -> (B, C), or as it
    was.
    """

    def __init__(self, *, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        return 4 * (x.mean(dim=(2, 3)) if self.pooled else x)


TAGS = Card(
    name="tags",
    inputs=(ImageInput(height=16, width=16, resize="stretch", mean=(0.5,) * 3, std=(0.5,) * 3),),
    answer=Classes(labels=("red", "green", "blue"), activation="sigmoid", thresholds=(0.5, 0.5, 0.999)),
    origin=ORIGIN,
)
BRIGHT = Card(
    name="bright",
    inputs=(
        ImageInput(
            height=32,
            width=48,
            resize="none",
            dynamic_size=True,
            min_size=16,
            max_size=64,
            channels=1,
            mean=(0.5,),
            std=(0.5,),
            pad_to=8,
        ),
    ),
    answer=LabelMap(labels=("dark", "bright"), activation="sigmoid", threshold=0.5),
    origin=ORIGIN,
)
CROPPED = Card(
    name="cropped",
    inputs=(
        ImageInput(height=16, width=24, resize="center_crop", crop=0.8, mean=(0.5,) * 3, std=(0.5,) * 3),
    ),
    answer=LabelMap(labels=("red", "green", "blue"), ignore_index=9),
    origin=ORIGIN,
)


@pytest.fixture(scope="module")
def served(
    exports: Exports, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EmbeddedTriton, Path]]:
    repository = tmp_path_factory.mktemp("kinds") / "repository"
    for card in (TAGS, BRIGHT, CROPPED):
        network = Colours(pooled=card is TAGS).eval()
        add(exports.of(network, card, [photo(seed, 40, 56) for seed in range(4)]), repository, instances=1)
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server:
        yield server, repository


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_labels_that_apply_together(served: Served) -> None:
    pixels = np.full((20, 20, 3), (230, 230, 230), np.uint8)
    with Client(served[0].grpc_url) as client:
        for image in (pixels, png(pixels)):
            (result,) = client.classify("tags", image)
            assert result.labels == ("red", "green")  # blue is as likely, below its own threshold
            expected = float(torch.tensor(4 * (230 / 255 - 0.5) / 0.5).sigmoid())
            assert [probability for _, probability in result.top] == pytest.approx([expected] * 3, abs=1e-6)


@pytest.mark.parametrize(("threshold", "labels"), [(0.9, ("red", "green", "blue")), (0.99, ())])
def test_one_threshold_for_every_label(served: Served, threshold: float, labels: tuple[str, ...]) -> None:
    """Each has 0.96, and blue a threshold of its own beyond that."""
    with Client(served[0].grpc_url) as client:
        (result,) = client.classify("tags", np.full((20, 20, 3), 230, np.uint8), threshold=threshold)
    assert result.labels == labels


def test_one_score_of_grey_pixels(served: Served) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (27, 35, 3), np.uint8)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    with Client(served[0].grpc_url) as client:
        for image in (pixels, png(pixels)):
            (result,) = client.segment("bright", image)
            assert (result.label_map == (grey >= 128)).all()
            assert sum(result.area.values()) == pytest.approx(1)
            assert result.labels == ("dark", "bright")


@pytest.mark.parametrize("turned", [False, True])
def test_a_crops_mask_lies_where_the_crop_was(served: Served, turned: bool) -> None:
    """A photograph of 96 x 240: the network sees 96 * 0.8 rows and half again as many columns of it."""
    pixels = np.full((96, 240, 3), (200, 30, 30), np.uint8)
    pixels[40:, 100:] = (30, 30, 200)
    top, left = (96 - 76.8) / 2, (240 - 115.2) / 2
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    Image.fromarray(np.rot90(pixels) if turned else pixels).save(file, "PNG", exif=exif)
    with Client(served[0].grpc_url) as client:
        given = Image.open(file) if turned else pixels
        for image in (given, file.getvalue()):
            (result,) = client.segment("cropped", image)
            assert result.label_map.shape == (96, 240)
            rows, columns = np.nonzero(result.label_map != 9)
            assert [rows.min(), rows.max() + 1] == pytest.approx([top, 96 - top], abs=1)
            assert [columns.min(), columns.max() + 1] == pytest.approx([left, 240 - left], abs=1)
            blue = np.argwhere(result.label_map == 2).min(axis=0)
            assert blue.tolist() == pytest.approx([40, 100], abs=76.8 / 16)  # a pixel of the network
            assert sum(result.area.values()) == pytest.approx(0.8 * 115.2 / 240, abs=0.02)


def test_both_answer_their_goldens(served: Served) -> None:
    server, repository = served
    connection = connect(address_of(server.grpc_url), Credentials())
    try:
        for model in ("tags", "bright"):
            done = verify_served(connection, model, repository=repository)
            assert done.passed, done.faults
            assert len(done.checks) == 12
    finally:
        connection.close()
