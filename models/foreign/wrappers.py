"""Modules around networks of other libraries, which make them what regard takes: one tensor of logits, two
parts.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from regard.models.classifiers import Classifier, GlobalAveragePool


class DictOutput(nn.Module):
    """One tensor out of a network that returns a dictionary: (B, 3, H, W) -> network(x)[key]."""

    def __init__(self, network: nn.Module, key: str = "out") -> None:
        super().__init__()
        self.network = network
        self.key = key

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)[self.key]


class Layers(Classifier):
    """A classifier that is a sequence of layers: features, global average pooling, and the layers after
    it.
    """

    def __init__(self, features: Iterable[nn.Module], head: Iterable[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.pool = GlobalAveragePool()
        self.head = nn.Sequential(*head)

    def feature_map(self, x: Tensor) -> Tensor:
        return self.features(x)

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, *self.head]


def same_answer(one: nn.Module, other: nn.Module, height: int, width: int) -> bool:
    """Whether two classifiers in evaluation mode answer one image of noise with the same logits, but for
    rounding.
    """
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        try:
            expected, found = one(x), other(x)
        except Exception:  # not of these parts; if it is the network that fails, probing it says so
            return False
    return bool(
        expected.shape == found.shape
        and torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    )
