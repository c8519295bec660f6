"""What the attention tests share: a module with every number drawn at random, in float64, and its arrays by name."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)
Arrays = dict[str, npt.NDArray[np.float64]]


@pytest.fixture
def randomized() -> Callable[[Module], Module]:
    """Draw every parameter and statistic, so that no zero or one hides a mistake; evaluation mode, float64."""

    def draw(module: Module) -> Module:
        random = torch.Generator().manual_seed(7)
        module.double().eval()
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=random, dtype=torch.float64)
                value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else 0.5 * noise)
        return module

    return draw


@pytest.fixture
def arrays() -> Callable[[nn.Module], Arrays]:
    """A module's state dict as float64 arrays; a 1x1 convolution's weight as its (out, in) matrix."""

    def convert(module: nn.Module) -> Arrays:
        result = {}
        for name, value in module.state_dict().items():
            array = value.numpy().astype(np.float64)
            result[name] = array[:, :, 0, 0] if array.shape[2:] == (1, 1) else array
        return result

    return convert


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Standard normal float64 maps of a shape, the same in every run."""

    def draw(*shape: int, seed: int = 0) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    return draw
