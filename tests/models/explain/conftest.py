"""Classifiers with heads of every kind, small and in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regard.models.classifiers import Classifier


class Small(Classifier):
    """A convolution of stride 4, and any head after it."""

    def __init__(self, *head: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.head = nn.Sequential(*head)

    def feature_map(self, x: Tensor) -> Tensor:
        return self.stem(x)

    def head_layers(self) -> list[nn.Module]:
        return [*self.head]


@pytest.fixture
def small(randomized: Callable[[Small], Small]) -> Callable[..., Small]:
    """`small(*layers)`: a classifier of 6 features on (5, 4) positions of a (20, 16) image, every number
    drawn at random.
    """

    def make(*head: nn.Module) -> Small:
        return randomized(Small(*head))

    return make


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 20, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
