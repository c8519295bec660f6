"""Networks that are small enough to export in a second or two, and what they export to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.exports import Exports
from torch import Tensor, nn

from regard.contract.answers import KINDS
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.contract.pixels_input import IMAGENET_MEAN, IMAGENET_STD
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact
from regard.models.attention.se import SqueezeExcite
from regard.models.samples import sample_images

HEIGHT, WIDTH, CLASSES = 32, 48, 5


class TinySegmenter(nn.Module):
    """Two convolutions around an attention module, at half the size: (B, 3, H, W) -> (B, CLASSES, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.gate = SqueezeExcite(8, reduction=4)
        self.classifier = nn.Conv2d(8, CLASSES, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            self.classifier(self.gate(self.stem(x))), size=x.shape[2:], mode="bilinear", align_corners=False
        )


class Pooled(nn.Module):
    """Like PSPNet's head: features beside their averages over a few bins, for any size."""

    def __init__(self, *bins: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(side) for side in bins)
        self.classifier = nn.Conv2d(4 * (1 + len(bins)), CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.stem(x)
        pooled = [
            F.interpolate(pool(features), size=x.shape[2:], mode="bilinear", align_corners=False)
            for pool in self.pools
        ]
        return self.classifier(torch.cat([features, *pooled], dim=1))


class TinyClassifier(nn.Module):
    """(B, 3, H, W) -> logits (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().mean(dim=(2, 3)))


def tiny_card(task: str = "segmentation", *, labels: int = CLASSES, name: str = "tiny") -> Card:
    """A Card that fits the networks above: any size from 24 to 256 for segmentation, else HEIGHT x WIDTH."""
    sizes = (
        {"resize": "none", "dynamic_size": True, "min_size": 24, "max_size": 256}
        if task == "segmentation"
        else {"resize": "stretch"}
    )
    contract = ImageInput(height=HEIGHT, width=WIDTH, mean=IMAGENET_MEAN, std=IMAGENET_STD, **sizes)
    answer = KINDS[task](labels=tuple(f"label {index}" for index in range(labels)))
    return Card(name=name, inputs=(contract,), answer=answer, origin=Origin(builder="tests:build"))


def seeded(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, with the same random weights every time."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.3 + 0.1)  # alive behind ReLU
    return network.eval()


@dataclass(frozen=True)
class Exported:
    network: nn.Module
    card: Card
    artifact: Artifact


@pytest.fixture(scope="session")
def images() -> list[Pixels]:
    return sample_images(tiny_card())


@pytest.fixture(scope="session")
def exported(exports: Exports, images: list[Pixels]) -> Exported:
    """A TinySegmenter with its attention map."""
    network = seeded(TinySegmenter())
    artifact = exports.of(network, tiny_card(), images, explain="weights")
    return Exported(network, artifact.card, artifact)


@pytest.fixture
def draft(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the exported graph, to plant faults in."""
    path = tmp_path / "model.onnx"
    path.write_bytes(exported.artifact.model.read_bytes())
    return path


@pytest.fixture
def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
