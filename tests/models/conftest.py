"""What the tests of models share: modules with every number off its initial value, their numbers as arrays,
and maps drawn at random.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

Arrays = dict[str, npt.NDArray[np.float64]]
Module = TypeVar("Module", bound=nn.Module)


@pytest.fixture
def randomized() -> Callable[[Module], Module]:
    """Draw every parameter and statistic, so that no zero or one hides a mistake; evaluation mode,
    float64.
    """

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
def awakened() -> Callable[[Module], Module]:
    """Move every parameter off its initial value, so that zero-initialized gates do not hide what is behind
    them; all else as it was.
    """

    def move(module: Module) -> Module:
        random = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))
        return module

    return move


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Standard normal float64 maps of a shape, the same in every run."""

    def draw(*shape: int, seed: int = 0) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

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
