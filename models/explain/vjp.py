"""Vector-Jacobian products of layers, written by hand: how a gradient goes back through a head without
autograd.

For a layer y = f(x) and the gradient g = ds/dy of a score s, `VJP[type(layer)]` gives ds/dx = g^T (dy/dx).
Every product is made of operators that any runtime has, so that Grad-CAM can be part of an exported graph.

    linear                    g W
    convolution               the transposed convolution of g with the same weights
    average pooling           P_h^T g P_w, where pooling is P_h x P_w^T
    max pooling               each g goes to the first largest position of its window, as PyTorch's does
    activation                g f'(x)
    normalization in eval     g times the slope
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ExportError
from regard.models.classifiers import GlobalAveragePool
from regard.models.heads.mil_pooling import GlobalMaxPool, NoisyOr

L = TypeVar("L", bound=nn.Module)
Product = Callable[[L, "Step", Tensor], Tensor]


@dataclass(frozen=True)
class Step:
    """One layer's pass: its input x and its result y."""

    x: Tensor
    y: Tensor


def _identity(layer: nn.Module, step: Step, g: Tensor) -> Tensor:
    return g


def _linear(layer: nn.Linear, step: Step, g: Tensor) -> Tensor:
    return torch.matmul(g, layer.weight)  # (..., out) @ (out, in)


def _conv2d(layer: nn.Conv2d, step: Step, g: Tensor) -> Tensor:
    if layer.padding_mode != "zeros" or not all(isinstance(pad, int) for pad in layer.padding):
        raise ExportError(
            f"no vector-Jacobian product for padding={layer.padding!r}, padding_mode={layer.padding_mode!r}; "
            "pad with zeros"
        )
    padding = tuple(int(pad) for pad in layer.padding)
    sides = zip(
        step.x.shape[2:], g.shape[2:], layer.kernel_size, layer.stride, padding, layer.dilation, strict=True
    )
    # rows and columns at the end of x that no window reached
    rest = [
        size - ((out - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1)
        for size, out, kernel, stride, pad, dilation in sides
    ]
    return F.conv_transpose2d(
        g, layer.weight, None, layer.stride, padding, rest, layer.groups, layer.dilation
    )


def _slope(layer: nn.BatchNorm1d | nn.BatchNorm2d, step: Step, g: Tensor) -> Tensor:
    if layer.running_var is None:
        raise ExportError(
            "no vector-Jacobian product for a BatchNorm without running statistics; its images would depend "
            "on each other"
        )
    slope = (layer.running_var + layer.eps).rsqrt()
    slope = slope if layer.weight is None else slope * layer.weight
    return g * slope.reshape(-1, *[1] * (g.ndim - 2))


def _layer_norm(layer: nn.LayerNorm, step: Step, g: Tensor) -> Tensor:
    axes = tuple(range(-len(layer.normalized_shape), 0))
    centred = step.x - step.x.mean(axes, keepdim=True)
    scale = (centred.square().mean(axes, keepdim=True) + layer.eps).rsqrt()
    normed = centred * scale
    g = g if layer.weight is None else g * layer.weight
    return scale * (g - g.mean(axes, keepdim=True) - normed * (g * normed).mean(axes, keepdim=True))


def _relu(layer: nn.ReLU, step: Step, g: Tensor) -> Tensor:
    return torch.where(step.y > 0, g, 0)


def _relu6(layer: nn.ReLU6, step: Step, g: Tensor) -> Tensor:
    return torch.where((step.y > 0) & (step.y < 6), g, 0)


def _hardswish(layer: nn.Hardswish, step: Step, g: Tensor) -> Tensor:
    """The slope of x clamp(x + 3, 0, 6) / 6 is x / 3 + 1/2 between -3 and 3."""
    return g * torch.where(step.x < -3, 0, torch.where(step.x <= 3, step.x / 3 + 0.5, 1))


def _sigmoid(layer: nn.Sigmoid, step: Step, g: Tensor) -> Tensor:
    return g * step.y * (1 - step.y)


def _tanh(layer: nn.Tanh, step: Step, g: Tensor) -> Tensor:
    return g * (1 - step.y * step.y)


def _flatten(layer: nn.Flatten | nn.Unflatten, step: Step, g: Tensor) -> Tensor:
    return g.reshape(step.x.shape)


def _global_average_pool(layer: GlobalAveragePool, step: Step, g: Tensor) -> Tensor:
    height, width = step.x.shape[2:]
    return (g / (height * width))[:, :, None, None].expand_as(step.x)


def _adaptive_avg_pool2d(layer: nn.AdaptiveAvgPool2d, step: Step, g: Tensor) -> Tensor:
    """Bin i of n averages the positions from floor(i size / n) to ceil((i + 1) size / n)."""

    def bins(size: int, count: int) -> list[tuple[int, int, float]]:
        spans = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        return [(start, stop, 1 / (stop - start)) for start, stop in spans]

    height, width = (
        _averages(bins(size, count), size, g)
        for size, count in zip(step.x.shape[2:], g.shape[2:], strict=True)
    )
    return torch.matmul(torch.matmul(height.t(), g), width)


def _avg_pool2d(layer: nn.AvgPool2d, step: Step, g: Tensor) -> Tensor:
    """A window's divisor is its height times its width: of what lies in the (padded) map, or of what lies in
    the map alone.
    """
    kernels, strides, pads = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding)

    def windows(size: int, count: int, kernel: int, stride: int, pad: int) -> list[tuple[int, int, float]]:
        spans = []
        for start in range(-pad, -pad + count * stride, stride):
            stop = min(start + kernel, size + pad)
            inside = max(start, 0), min(stop, size)
            length = stop - start if layer.count_include_pad else inside[1] - inside[0]
            spans.append((*inside, 1.0 if layer.divisor_override else 1 / length))
        return spans

    sides = zip(step.x.shape[2:], g.shape[2:], kernels, strides, pads, strict=True)
    height, width = (_averages(windows(*side), side[0], g) for side in sides)
    return torch.matmul(torch.matmul(height.t(), g), width) / (layer.divisor_override or 1)


def _averages(spans: list[tuple[int, int, float]], size: int, like: Tensor) -> Tensor:
    """The matrix (windows, size) that sums the positions start..stop of each window, with a weight."""
    rows = [
        [weight if start <= position < stop else 0.0 for position in range(size)]
        for start, stop, weight in spans
    ]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _max_pool2d(layer: nn.MaxPool2d, step: Step, g: Tensor) -> Tensor:
    """One slice of x for each place in the window; the first that equals the result takes g, and a
    convolution's transpose puts it back.
    """
    if layer.return_indices:
        raise ExportError("no vector-Jacobian product for a MaxPool2d that returns its indices")
    kernel, stride, pad, dilation = (
        _pair(value) for value in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    )
    size, out = step.x.shape[2:], g.shape[2:]
    # what the windows span: with ceil_mode it may reach beyond the padded map, and without it may end before
    span = [(out[side] - 1) * stride[side] + dilation[side] * (kernel[side] - 1) + 1 for side in (0, 1)]
    after = [span[side] - size[side] - pad[side] for side in (0, 1)]
    padded = F.pad(step.x, [pad[1], max(after[1], 0), pad[0], max(after[0], 0)], value=-math.inf)
    taken = torch.zeros_like(step.y, dtype=torch.bool)
    shares = []
    for row in range(0, kernel[0] * dilation[0], dilation[0]):
        for column in range(0, kernel[1] * dilation[1], dilation[1]):
            rows = slice(row, row + (out[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(column, column + (out[1] - 1) * stride[1] + 1, stride[1])
            largest = (padded[:, :, rows, columns] == step.y) & ~taken
            shares.append(torch.where(largest, g, 0))
            taken = taken | largest
    places = len(shares)
    channels = step.x.shape[1]
    stacked = torch.stack(shares, dim=2).flatten(1, 2)  # (B, C * places, oh, ow)
    back = (
        torch.eye(places, dtype=g.dtype, device=g.device)
        .reshape(places, 1, *kernel)
        .repeat(channels, 1, 1, 1)
    )
    # (B, C, *span)
    spread = F.conv_transpose2d(stacked, back, None, stride, groups=channels, dilation=dilation)
    spread = F.pad(spread, [0, max(-after[1], 0), 0, max(-after[0], 0)])
    return spread[:, :, pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]


def _global_max_pool(layer: GlobalMaxPool, step: Step, g: Tensor) -> Tensor:
    positions = step.x.flatten(2)  # (B, K, HW)
    largest = positions == step.y[:, :, None]
    # ties share, as amax does
    return torch.where(largest, (g / largest.sum(dim=2))[:, :, None], 0).reshape(step.x.shape)


def _noisy_or(layer: NoisyOr, step: Step, g: Tensor) -> Tensor:
    """The log-odds of P = 1 - prod(1 - p_i) have the slope p_i / P in each score."""
    return (g / step.y.sigmoid())[:, :, None, None] * step.x.sigmoid()


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


VJP: dict[type[nn.Module], Product[Any]] = {
    nn.Identity: _identity,
    nn.Dropout: _identity,
    nn.Dropout2d: _identity,
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.BatchNorm1d: _slope,
    nn.BatchNorm2d: _slope,
    nn.LayerNorm: _layer_norm,
    nn.ReLU: _relu,
    nn.ReLU6: _relu6,
    nn.Hardswish: _hardswish,
    nn.Sigmoid: _sigmoid,
    nn.Tanh: _tanh,
    nn.Flatten: _flatten,
    nn.MaxPool2d: _max_pool2d,
    nn.AvgPool2d: _avg_pool2d,
    nn.AdaptiveAvgPool2d: _adaptive_avg_pool2d,
    GlobalAveragePool: _global_average_pool,
    GlobalMaxPool: _global_max_pool,
    NoisyOr: _noisy_or,
}


def run(layer: nn.Module, x: Tensor) -> Step:
    """A layer's pass, on a copy where the layer would overwrite its input."""
    return Step(x, layer(x.clone() if getattr(layer, "inplace", False) else x))


def pull_back(layer: nn.Module, step: Step, g: Tensor) -> Tensor:
    """The gradient in front of a layer, from the one behind it.

    Raises:
        ExportError: the layer has no product in `VJP`.
    """
    if type(layer) not in VJP:
        known = ", ".join(sorted(kind.__name__ for kind in VJP))
        raise ExportError(f"no vector-Jacobian product for {type(layer).__name__}; there are for {known}")
    return VJP[type(layer)](layer, step, g)
