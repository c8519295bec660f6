"""DVAN: canvases, the recurrence by loops, attention laid over the image, and the averaged answer."""

import math

import pytest
import torch
import torch.nn.functional as F

from regard.models.losses.criterion import cross_entropy
from regard.models.losses.diversity import diversity_loss
from regard.models.networks.dvan import CANVASES, DVAN, check_canvases, laid_out


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def network() -> DVAN:
    torch.manual_seed(0)
    return DVAN(num_classes=3, backbone="vgg16_bn", width=2, hidden=5, canvas_size=64).double().eval()


def test_canvases_go_from_coarse_to_fine():
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in CANVASES]
    assert CANVASES[0] == (0, 0, 1, 1)
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) == 3
    with pytest.raises(ValueError, match=r"coarse to fine, got areas \[0.25, 1\]"):
        check_canvases([(0, 0, 0.5, 0.5), (0, 0, 1, 1)])
    with pytest.raises(ValueError, match="at least two, got 1"):
        check_canvases([(0, 0, 1, 1)])


def test_features_are_pool5_of_each_canvas(network):
    x = draw(2, 3, 128, 128)
    features = network.features(x)
    assert features.shape == (2, 9, 16, 2, 2)
    for step in (0, 5, 8):
        left, top, right, bottom = (int(128 * edge) for edge in CANVASES[step])
        canvas = F.interpolate(
            x[:, :, top:bottom, left:right], size=(64, 64), mode="bilinear", align_corners=False
        )
        expected = F.max_pool2d(network.backbone.features(canvas), 2)
        assert (features[:, step] - expected).abs().max() < 1e-10


def test_recurrence_by_loops(network):
    features = draw(2, 3, 16, 2, 2)
    attention, answers = network.glances(features)
    p = {
        name: value.tolist() for name, value in network.named_parameters() if not name.startswith("backbone")
    }

    def linear(name: str, x: list[float]) -> list[float]:
        return [
            sum(w * v for w, v in zip(row, x, strict=True)) + b
            for row, b in zip(p[name + "weight"], p[name + "bias"], strict=True)
        ]

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    for b in range(2):
        start = [math.tanh(v) for v in linear("start.", features[b, 0].mean(dim=(1, 2)).tolist())]
        h, c = start[:5], start[5:]
        for t in range(3):
            scores = [math.exp(v) for v in linear("glance.scores.", h)]
            weights = [v / sum(scores) for v in scores]
            assert (
                attention[b, t].flatten() - torch.tensor(weights, dtype=torch.float64)
            ).abs().max() < 1e-12
            seen = [
                sum(w * float(v) for w, v in zip(weights, features[b, t, k].flatten(), strict=True))
                for k in range(16)
            ]
            ih = {"weight": p["lstm.weight_ih"], "bias": p["lstm.bias_ih"]}
            hh = {"weight": p["lstm.weight_hh"], "bias": p["lstm.bias_hh"]}
            gates = [
                sum(w * v for w, v in zip(wi, seen, strict=True))
                + bi
                + sum(w * v for w, v in zip(wh, h, strict=True))
                + bh
                for wi, bi, wh, bh in zip(ih["weight"], ih["bias"], hh["weight"], hh["bias"], strict=True)
            ]
            i, f, g, o = (gates[5 * k : 5 * k + 5] for k in range(4))
            c = [sigmoid(f[k]) * c[k] + sigmoid(i[k]) * math.tanh(g[k]) for k in range(5)]
            h = [sigmoid(o[k]) * math.tanh(c[k]) for k in range(5)]
            assert (
                answers[b, t] - torch.tensor(linear("classifier.", h), dtype=torch.float64)
            ).abs().max() < 1e-12


def test_answer_is_the_mean_over_time(network):
    x = draw(2, 3, 80, 96)
    answers = network.glances(network.features(x))[1]
    assert answers.shape == (2, 9, 3)
    assert (network(x).softmax(dim=1) - answers.softmax(dim=2).mean(dim=1)).abs().max() < 1e-12
    assert (network(x).exp().sum(dim=1) - 1).abs().max() < 1e-12


def test_attention_is_laid_over_the_image():
    canvases = [(0, 0, 1, 1), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1)]
    attention = torch.zeros(1, 3, 2, 2)
    attention[0, 0, 0, 1] = 1  # upper right quarter of the image
    attention[0, 1, 1, 0] = 1  # lower left quarter of the upper right quarter
    attention[0, 2, 0, 0] = 1  # upper left quarter of the lower left quarter
    maps = laid_out(attention, canvases, grid=8)
    expected = torch.zeros(1, 3, 8, 8)
    expected[0, 0, :4, 4:] = 1 / 16
    expected[0, 1, 2:4, 4:6] = 1 / 4
    expected[0, 2, 4:6, :2] = 1 / 4
    assert torch.allclose(maps, expected)


def test_laying_out_keeps_the_sum():
    attention = draw(2, 9, 7, 7).abs()
    maps = laid_out(attention, CANVASES)
    assert torch.allclose(maps.sum(dim=(2, 3)), attention.sum(dim=(2, 3)))


def test_diversity_compares_places_in_the_image():
    """The same place seen through two canvases overlaps; the same position of canvases that lie apart does
    not.
    """
    canvases = [(0, 0, 1, 1), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1)]

    def loss(first: tuple[int, int], second: tuple[int, int], steps: tuple[int, int]) -> float:
        attention = torch.zeros(1, 2, 2, 2)
        attention[0, 0][first] = attention[0, 1][second] = 1
        return diversity_loss(
            laid_out(attention, [canvases[step] for step in steps], grid=8).flatten(2)
        ).item()

    assert loss((0, 1), (1, 0), (0, 1)) == pytest.approx(1 / 16)
    assert loss((0, 0), (1, 0), (0, 1)) == 0
    assert loss((0, 0), (0, 0), (1, 2)) == 0


def test_loss(network):
    x, targets = draw(2, 3, 64, 64), torch.tensor([0, 2])
    attention, answers = network.glances(network.features(x))
    expected = sum(cross_entropy()(answers[:, t], targets).item() for t in range(9)) / 9
    expected += 3.0 * diversity_loss(laid_out(attention, CANVASES).flatten(2)).item()
    network.diversity = 3.0
    assert abs(network.training_loss(x, targets, cross_entropy()).item() - expected) < 1e-6


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="multiple of 32, got 100"):
        DVAN(canvas_size=100)
    with pytest.raises(ValueError, match="hidden.*0"):
        DVAN(hidden=0)
