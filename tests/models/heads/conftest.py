"""What the tests of heads share: their convolution block, written out."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def conv_bn_relu() -> Callable[..., torch.Tensor]:
    """relu(BN(conv(x))) written out, for a square odd kernel that keeps the size, with the numbers of a
    (conv, BN, ...) sequence.
    """

    def apply(x: torch.Tensor, block: nn.Sequential, *, dilation: int = 1) -> torch.Tensor:
        weight, norm = block[0].weight, block[1]
        half = weight.shape[2] // 2
        reach = half * dilation
        padded = torch.nn.functional.pad(x, (reach, reach, reach, reach))
        out = torch.zeros(x.shape[0], weight.shape[0], *x.shape[2:], dtype=x.dtype)
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                moved = padded[
                    :, :, i * dilation : i * dilation + x.shape[2], j * dilation : j * dilation + x.shape[3]
                ]
                out += torch.tensordot(moved, weight[:, :, i, j], dims=([1], [1])).movedim(3, 1)
        if block[0].bias is not None:
            out += block[0].bias[:, None, None]
        mean, var, scale, shift = (
            value[:, None, None] for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return ((out - mean) / (var + norm.eps).sqrt() * scale + shift).clamp(min=0)

    return apply
