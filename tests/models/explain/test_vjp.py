"""Every product against autograd, in float64: same numbers, ties included."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regard.errors import ExportError
from regard.models.classifiers import GlobalAveragePool
from regard.models.explain.vjp import VJP, pull_back, run
from regard.models.heads.mil_pooling import GlobalMaxPool, NoisyOr

TOLERANCE = 1e-12

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "identity": (nn.Identity, (2, 3, 5, 4)),
    "dropout": (nn.Dropout, (2, 6)),
    "dropout2d": (nn.Dropout2d, (2, 3, 5, 4)),
    "linear": (lambda: nn.Linear(6, 4), (3, 6)),
    "linear on rows": (lambda: nn.Linear(6, 4), (3, 5, 6)),
    "convolution": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 4)),
    "convolution 1x1": (lambda: nn.Conv2d(3, 4, 1), (2, 3, 5, 4)),
    "strided, rows left over": (lambda: nn.Conv2d(3, 4, 3, stride=2), (2, 3, 8, 7)),
    "strided by 3": (lambda: nn.Conv2d(3, 4, 2, stride=3, padding=1), (2, 3, 9, 7)),
    "dilated": (lambda: nn.Conv2d(3, 4, 3, dilation=2, padding=(1, 2)), (2, 3, 8, 6)),
    "grouped, wide": (lambda: nn.Conv2d(4, 6, (1, 5), groups=2, padding=(0, 2), stride=(2, 1)), (2, 4, 5, 6)),
    "batch norm": (lambda: nn.BatchNorm2d(3), (2, 3, 5, 4)),
    "batch norm without scale": (lambda: nn.BatchNorm2d(3, affine=False), (2, 3, 5, 4)),
    "batch norm of vectors": (lambda: nn.BatchNorm1d(6), (3, 6)),
    "layer norm": (lambda: nn.LayerNorm(6), (3, 6)),
    "layer norm of maps": (lambda: nn.LayerNorm([3, 5, 4], elementwise_affine=False), (2, 3, 5, 4)),
    "relu": (nn.ReLU, (3, 6)),
    "relu in place": (lambda: nn.ReLU(inplace=True), (2, 3, 5, 4)),
    "relu6": (nn.ReLU6, (3, 40)),
    "hardswish": (nn.Hardswish, (3, 40)),
    "sigmoid": (nn.Sigmoid, (3, 6)),
    "tanh": (nn.Tanh, (3, 6)),
    "flatten": (nn.Flatten, (2, 3, 5, 4)),
    "max pool": (lambda: nn.MaxPool2d(2), (2, 3, 6, 4)),
    "max pool, rows left over": (lambda: nn.MaxPool2d(2), (2, 3, 7, 5)),
    "max pool, overlapping": (lambda: nn.MaxPool2d(3, 2, 1), (2, 3, 7, 6)),
    "max pool beyond the end": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), (2, 3, 8, 6)),
    "max pool, dilated": (lambda: nn.MaxPool2d((2, 3), (1, 2), dilation=2, padding=(1, 0)), (2, 3, 7, 8)),
    "average pool": (lambda: nn.AvgPool2d(2), (2, 3, 6, 5)),
    "average pool, padded": (lambda: nn.AvgPool2d(3, 2, 1), (2, 3, 7, 6)),
    "average pool of what is there": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 3, 7, 6)),
    "average pool beyond the end": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 6)),
    "average pool by 5": (lambda: nn.AvgPool2d((3, 2), divisor_override=5), (2, 3, 8, 6)),
    "adaptive pool to one": (lambda: nn.AdaptiveAvgPool2d(1), (2, 3, 5, 4)),
    "adaptive pool, uneven": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 3, 5, 7)),
    "adaptive pool, larger": (lambda: nn.AdaptiveAvgPool2d(7), (2, 3, 5, 4)),
    "global average pool": (GlobalAveragePool, (2, 3, 5, 4)),
    "global max pool": (GlobalMaxPool, (2, 3, 5, 4)),
    "noisy or": (NoisyOr, (2, 3, 5, 4)),
}


def draw(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def awake(layer: nn.Module) -> nn.Module:
    layer.double().eval()
    for index, value in enumerate(layer.state_dict().values()):
        if value.is_floating_point():
            value.copy_(draw(tuple(value.shape), seed=index).abs() + 0.1)
    return layer


def both(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient by hand, and autograd's, of a random direction in the result."""
    with torch.no_grad():
        kept = x.clone()
        step = run(layer, x)
        g = draw(tuple(step.y.shape), seed=9)
        by_hand = pull_back(layer, step, g)
        assert torch.equal(x, kept), "the input was changed in place"
    leaf = x.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(layer(leaf.clone()), leaf, g)
    return by_hand, by_autograd


@pytest.mark.parametrize("name", LAYERS)
def test_the_product_is_autograds(name: str) -> None:
    make, shape = LAYERS[name]
    by_hand, by_autograd = both(awake(make()), 3 * draw(shape))
    torch.testing.assert_close(by_hand, by_autograd, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in LAYERS if "max pool" in name or "relu" in name])
def test_ties_and_borders_are_autograds(name: str) -> None:
    """Whole numbers tie within nearly every window, and are 0 and 6 often."""
    make, shape = LAYERS[name]
    x = (3 * draw(shape)).round().clamp(-1, 6)
    by_hand, by_autograd = both(awake(make()), x)
    torch.testing.assert_close(by_hand, by_autograd, atol=TOLERANCE, rtol=TOLERANCE)


def test_every_product_is_tested() -> None:
    assert {type(make()) for make, _ in LAYERS.values()} == VJP.keys()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.GELU(), (2, 3), "no vector-Jacobian product for GELU; there are for .*Linear"),
        (nn.Conv2d(3, 3, 3, padding="same"), (2, 3, 5, 4), "padding='same'"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), (2, 3, 5, 4), "padding_mode='reflect'"),
        (nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 5, 4), "without running statistics"),
    ],
)
def test_what_has_no_product_is_refused(layer: nn.Module, shape: tuple[int, ...], message: str) -> None:
    x = torch.rand(shape)
    with pytest.raises(ExportError, match=message):
        pull_back(layer, run(layer, x), torch.rand(layer(x).shape))


def test_a_subclass_may_compute_something_else() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    layer = Doubled(3, 2)
    with pytest.raises(ExportError, match="Doubled"):
        pull_back(layer, run(layer, torch.rand(1, 3)), torch.rand(1, 2))
