"""Multi-context attention against its equations in plain NumPy, and what tells it from a network without."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from regard.errors import InvalidInput
from regard.models.catalog import CATALOG, build
from regard.models.networks.multi_context_pose import MultiContextPose
from regard.models.parts.mean_field import MeanFieldAttention
from regard.models.parts.soft_argmax import soft_argmax

Array = npt.NDArray[np.float64]
SMALL: dict[str, Any] = dict(CATALOG["multi_context_pose"].small)


def sigmoid(x: Array) -> Array:
    return np.asarray((1 + np.tanh(x / 2)) / 2)


class Naive:
    """The equations, of the numbers of a state dict; maps are (C, H, W)."""

    def __init__(self, module: nn.Module) -> None:
        self.numbers = {name: value.double().numpy() for name, value in module.state_dict().items()}

    def conv(self, name: str, x: Array, stride: int = 1) -> Array:
        weight = self.numbers[f"{name}.weight"]
        bias = self.numbers.get(f"{name}.bias", np.zeros(len(weight)))
        margin = weight.shape[2] // 2
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
        windows = sliding_window_view(padded, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
        return np.asarray(np.einsum("ocij,chwij->ohw", weight, windows) + bias[:, None, None])

    def norm(self, name: str, x: Array) -> Array:
        mean, variance, weight, bias = (
            self.numbers[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return np.asarray(np.maximum(0, (x - mean) / np.sqrt(variance + 1e-5) * weight + bias))

    def unit(self, name: str, x: Array) -> Array:
        a = x
        for index in range(3):
            part = f"{name}.bottleneck.{index}"
            a = self.conv(f"{part}.2", self.norm(f"{part}.0", a))
        p = self.conv(f"{name}.wide.3", pooled(self.norm(f"{name}.wide.0", x)))
        p = self.conv(f"{name}.wide.4.2", self.norm(f"{name}.wide.4.0", p))
        skip = self.conv(f"{name}.skip", x) if f"{name}.skip.weight" in self.numbers else x
        return np.asarray(skip + a + grown(p, x))

    def field(self, name: str, unary: Array) -> Array:
        q = unary
        for _ in range(3):
            q = sigmoid(unary + self.conv(f"{name}.pairwise", q))
        return q

    def heat(self, x: Array, *, stacks: int) -> list[Array]:
        """Of hourglasses of depth 1, the last of which attends to parts."""
        x = self.norm("stem.1", self.conv("stem.0", x, stride=2))
        x = pooled(self.unit("stem.3", x))
        x = self.unit("stem.6", self.unit("stem.5", x))
        found = []
        for index in range(stacks):
            s = f"stacks.{index}"
            low = self.unit(f"{s}.hourglass.bottom", self.unit(f"{s}.hourglass.downs.0", pooled(x)))
            high = self.unit(f"{s}.hourglass.skips.0", x)
            high = high + grown(self.unit(f"{s}.hourglass.ups.0", low), high)
            f = self.norm(f"{s}.features.2", self.conv(f"{s}.features.1", self.unit(f"{s}.features.0", high)))
            fine, coarse = (
                self.conv(f"{s}.whole.unary.{r}.2", self.norm(f"{s}.whole.unary.{r}.0", scale))
                for r, scale in enumerate((high, low))
            )
            scores = fine + grown(coarse, fine)
            h = f * self.field(f"{s}.whole.field", scores)
            if index < stacks - 1:
                heat = self.conv(f"{s}.heat", h)
                x = x + self.conv(f"remembered.{index}", h) + self.conv(f"believed.{index}", heat)
            else:
                scores, weight = self.conv(f"{s}.parts.unary", h), self.numbers[f"{s}.parts.heat.weight"]
                heat = np.stack(
                    [
                        np.einsum("c,chw->hw", w[:, 0, 0], h * self.field(f"{s}.parts.fields.{j}", score))
                        for j, (w, score) in enumerate(zip(weight, scores[:, None], strict=True))
                    ]
                )
            found.append(heat)
        return found


def pooled(x: Array) -> Array:
    channels, height, width = x.shape
    return np.asarray(x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4)))


def grown(x: Array, to: Array) -> Array:
    times = to.shape[1] // x.shape[1]
    return x.repeat(times, axis=1).repeat(times, axis=2)


@pytest.fixture
def network(randomized: Callable[[MultiContextPose], MultiContextPose]) -> MultiContextPose:
    """Off its initial values, with scores small enough that attention is neither shut nor open."""
    network = randomized(MultiContextPose(**SMALL))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".unary." in name and parameter.ndim == 4:
                parameter.mul_(0.002)
    return network


def test_it_is_the_papers_equations(network: MultiContextPose, draw: Callable[..., Tensor]) -> None:
    x = draw(1, 3, 32, 32)
    expected = Naive(network).heat(x[0].numpy(), stacks=2)
    with torch.no_grad():
        found = network.heat(x)
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs).max()
        assert np.abs(ours[0].numpy() - theirs).max() <= 1e-9 * scale


def test_the_points_are_the_mean_places_of_the_last_heat(
    network: MultiContextPose, draw: Callable[..., Tensor]
) -> None:
    x = draw(2, 3, 32, 32)
    with torch.no_grad():
        heat, points = network.heat(x)[-1].numpy(), network(x).numpy()
    height, width = heat.shape[2:]
    for image in range(2):
        for joint in range(SMALL["joints"]):
            weights = np.exp(3 * np.log(height * width) * (heat[image, joint] - heat[image, joint].max()))
            weights /= weights.sum()
            x_mean = sum(weights[i, j] * (j + 0.5) / width for i in range(height) for j in range(width))
            y_mean = sum(weights[i, j] * (i + 0.5) / height for i in range(height) for j in range(width))
            assert points[image, joint, :2] == pytest.approx((x_mean, y_mean), abs=1e-12)
            assert points[image, joint, 2] == np.clip(heat[image, joint].max(), 0, 1)


def test_the_mean_field_iterates_with_one_kernel(draw: Callable[..., Tensor]) -> None:
    field, unary = MeanFieldAttention(5, 3).double(), draw(2, 1, 7, 9)
    assert sum(parameter.numel() for parameter in field.parameters()) == 5 * 5 + 1
    first = (unary + field.pairwise(unary)).sigmoid()
    second = (unary + field.pairwise(first)).sigmoid()
    assert torch.equal(field(unary), (unary + field.pairwise(second)).sigmoid())
    alone = MeanFieldAttention(5, 3).double()
    nn.init.zeros_(alone.pairwise.weight)
    nn.init.zeros_(alone.pairwise.bias)
    assert torch.equal(alone(unary), unary.sigmoid())  # without neighbours every place is by itself


def test_neighbours_carry_a_place_along() -> None:
    """What a softmax over places cannot: an unsure place counts where those around it do."""
    field = MeanFieldAttention(3, 3)
    with torch.no_grad():
        field.pairwise.weight.fill_(1.0)
        field.pairwise.bias.fill_(-4.0)
    unsure = torch.zeros(1, 1, 9, 9)
    sure = unsure.clone()
    sure[..., 2:7, 2:7] = 3.0
    sure[..., 4, 4] = 0.0
    assert field(sure)[0, 0, 4, 4] > 0.95
    assert field(unsure)[0, 0, 4, 4] < 0.5


@pytest.mark.parametrize("place", [(0.5, 0.5), (0.11, 0.86), (0.301, 0.62)])
@pytest.mark.parametrize("side", [16, 64])
def test_a_planted_gaussian_is_found(place: tuple[float, float], side: int) -> None:
    grid = (torch.arange(side) + 0.5) / side
    x, y = place
    heat = torch.exp(-(((grid - x) * side) ** 2 + ((grid[:, None] - y) * side) ** 2) / 2)[None, None]
    (point,) = soft_argmax(heat)[0]
    assert point[:2].tolist() == pytest.approx(place, abs=0.4 / side)  # of a place of the map
    assert 0.7 < point[2] <= 1
    shifted = soft_argmax(heat + 0.3 * torch.rand(heat.shape, generator=torch.Generator().manual_seed(0)))
    assert shifted[0, 0, :2].tolist() == pytest.approx(place, abs=1 / side)


def test_attention_has_a_map_for_the_figure_and_one_for_each_joint(network: MultiContextPose) -> None:
    x = torch.zeros(2, 3, 32, 32, dtype=torch.float64)
    points, maps = network.explained(x)
    assert torch.equal(points, network(x))
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "whole": (2, SMALL["stacks"], 8, 8),
        "parts": (2, SMALL["joints"], 8, 8),
    }
    assert all(((value >= 0) & (value <= 1)).all() for value in maps.values())
    assert network.stacks[0].parts is None


def test_what_is_not_attended_to_is_not_seen(network: MultiContextPose, draw: Callable[..., Tensor]) -> None:
    """With the whole figure's attention shut, no part of the heat depends on the image."""
    last = network.stacks[-1]
    assert last.whole is not None
    with torch.no_grad():
        for score in last.whole.unary:
            score[-1].weight.zero_()
            score[-1].bias.fill_(-50.0)
        last.whole.field.pairwise.weight.zero_()
        heat = network.heat(draw(2, 3, 32, 32))[-1]
    assert heat.abs().max() < 1e-15
    assert network.heat(draw(1, 3, 32, 32))[0].std() > 0  # the earlier stack still sees


def test_the_baseline_is_the_same_stack_without_attention(draw: Callable[..., Tensor]) -> None:
    plain, whole = MultiContextPose(**SMALL, attention=False).double(), MultiContextPose(**SMALL)
    points, maps = plain.explained(draw(1, 3, 32, 32))
    assert points.shape == (1, SMALL["joints"], 3)
    assert maps == {}
    shared = plain.state_dict().keys() & whole.state_dict().keys()
    assert {name.split(".")[2] for name in plain.state_dict().keys() - shared} == {"heat"}
    assert all("whole" in name or "parts" in name for name in whole.state_dict().keys() - shared)


def test_the_papers_size() -> None:
    with torch.device("meta"):
        network = build("multi_context_pose")
        heat = network.heat(torch.zeros(1, 3, 256, 256))
    assert [tuple(each.shape) for each in heat] == [(1, 16, 64, 64)] * 8
    assert [stack.parts is not None for stack in network.stacks] == [False] * 4 + [True] * 4
    assert [stack.features[1].out_channels for stack in network.stacks] == [256] * 7 + [512]
    assert network.stacks[0].whole.field.pairwise.kernel_size == (11, 11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"joints": 0}, "joints must be at least 1"),
        ({"part_stacks": 9}, "part_stacks must be from 0 to stacks, got 9 of 8"),
        ({"width": 6}, "width must be a multiple of 4"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"image_size": 200}, "image_size must be a multiple of 128, got 200"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build("multi_context_pose", **options)
    with pytest.raises(ValueError, match="takes images of 32 x 32, got 64 x 32"):
        MultiContextPose(**SMALL)(torch.zeros(1, 3, 64, 32))
