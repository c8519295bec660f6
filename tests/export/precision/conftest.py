"""Graphs of a few layers to quantize."""

import numpy as np
import pytest
import torch
from onnx import ModelProto
from tests.export.conftest import seeded, tiny_card
from tests.exports import Exports
from torch import Tensor, nn

from regard.contract.preprocess import Pixels
from regard.export.artifact import read_graph
from regard.export.precision.layers import with_names

SIZE = (32, 48, 3)


class Separable(nn.Module):
    """A depthwise convolution among others, as in MobileNet: (B, 3, H, W) -> logits (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3)
        )
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.block(self.stem(x).relu()).mean(dim=(2, 3)))


@pytest.fixture(scope="session")
def pixels() -> list[Pixels]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, SIZE, dtype=np.uint8) for _ in range(8)]


@pytest.fixture(scope="session")
def separable(exports: Exports, pixels: list[Pixels]) -> ModelProto:
    network = seeded(Separable())
    with torch.no_grad():
        network.fc.weight.mul_(0.1)
    card = tiny_card("classification")
    return with_names(read_graph(exports.of(network, card, pixels[:6]).model))
