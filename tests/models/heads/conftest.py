"""What the tests of heads share: a head with every number drawn at random, in float64."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


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
def draw() -> Callable[..., torch.Tensor]:
    """Standard normal float64 maps of a shape, the same in every run."""

    def draw(*shape: int, seed: int = 0) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    return draw


@pytest.fixture
def conv_bn_relu() -> Callable[..., torch.Tensor]:
    """relu(BN(conv(x))) written out, for a square odd kernel that keeps the size, with the numbers of a (conv, BN, ...) sequence."""

    def apply(x: torch.Tensor, block: nn.Sequential, *, dilation: int = 1) -> torch.Tensor:
        weight, norm = block[0].weight, block[1]
        half = weight.shape[2] // 2
        reach = half * dilation
        padded = torch.nn.functional.pad(x, (reach, reach, reach, reach))
        out = torch.zeros(x.shape[0], weight.shape[0], *x.shape[2:], dtype=x.dtype)
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                moved = padded[:, :, i * dilation : i * dilation + x.shape[2], j * dilation : j * dilation + x.shape[3]]
                out += torch.tensordot(moved, weight[:, :, i, j], dims=([1], [1])).movedim(3, 1)
        if block[0].bias is not None:
            out += block[0].bias[:, None, None]
        mean, var, scale, shift = (value[:, None, None] for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
        return ((out - mean) / (var + norm.eps).sqrt() * scale + shift).clamp(min=0)

    return apply
