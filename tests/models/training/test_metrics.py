"""Metrics against counting by hand."""

import math

import pytest
import torch

from regard.models.training.loop import balance
from regard.models.training.metrics import accuracy, confusion, intersection_over_union


def drawn(num_classes: int, highest: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, num_classes, shape, generator=random), torch.randint(
        0, highest, shape, generator=random
    )


@pytest.mark.parametrize("shape", [(50,), (3, 6, 5)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_confusion_counts_pairs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    predicted, target = drawn(4, 6, *shape)
    counts = confusion(predicted, target.to(dtype), 4)
    expected = [[0] * 4 for _ in range(4)]
    for p, t in zip(predicted.flatten().tolist(), target.flatten().tolist(), strict=True):
        if t < 4:
            expected[t][p] += 1
    assert counts.tolist() == expected


def test_confusion_holds_256_classes() -> None:
    """As many as a label map of uint8 can name."""
    target = torch.tensor([0, 1, 254, 255], dtype=torch.uint8)
    assert confusion(target.long(), target, 256).diagonal().sum() == 4


def test_confusion_of_nothing() -> None:
    assert confusion(torch.tensor([1]), torch.tensor([255], dtype=torch.uint8), 3).sum() == 0


def test_intersection_over_union() -> None:
    predicted, target = drawn(4, 4, 200)
    iou = intersection_over_union(confusion(predicted, target, 4))
    for c in range(4):
        hit = sum(p == c and t == c for p, t in zip(predicted.tolist(), target.tolist(), strict=True))
        union = sum(p == c or t == c for p, t in zip(predicted.tolist(), target.tolist(), strict=True))
        assert math.isclose(iou[c].item(), hit / union, rel_tol=1e-12)


def test_iou_at_its_ends() -> None:
    assert intersection_over_union(torch.tensor([[5, 0], [0, 3]])).tolist() == [1, 1]
    assert intersection_over_union(torch.tensor([[0, 5], [3, 0]])).tolist() == [0, 0]
    iou = intersection_over_union(torch.tensor([[5, 0, 0], [0, 3, 0], [0, 0, 0]]))
    assert iou[:2].tolist() == [1, 1]
    assert math.isnan(iou[2].item())  # neither occurs nor is predicted


def test_accuracy() -> None:
    predicted, target = drawn(4, 4, 200)
    share = sum(p == t for p, t in zip(predicted.tolist(), target.tolist(), strict=True)) / 200
    assert math.isclose(accuracy(confusion(predicted, target, 4)), share, rel_tol=1e-6)


@pytest.mark.parametrize("power", [0, 0.25, 1])
def test_balance(power: float) -> None:
    """Weights go as frequency ** -power, and their mean over the labelled pixels is 1."""
    targets = torch.tensor([0] * 12 + [1] * 3 + [2] * 1 + [255] * 20, dtype=torch.uint8).view(4, 3, 3)
    weights = balance(targets, 3, power).double()
    frequency = [12 / 16, 3 / 16, 1 / 16]
    raw = [f**-power for f in frequency]
    mean = sum(f * w for f, w in zip(frequency, raw, strict=True))
    assert torch.allclose(weights, torch.tensor(raw, dtype=torch.float64) / mean, rtol=1e-5)
    assert math.isclose(sum(f * w for f, w in zip(frequency, weights.tolist(), strict=True)), 1, rel_tol=1e-5)


def test_balance_of_classes_and_power_zero() -> None:
    assert balance(torch.tensor([0, 1, 1, 1]), 2, 0).tolist() == [1, 1]
    weights = balance(torch.tensor([0, 1, 1, 1]), 2, 1)
    assert math.isclose((weights[0] / weights[1]).item(), 3, rel_tol=1e-6)


def test_balance_survives_an_absent_class() -> None:
    assert torch.isfinite(balance(torch.tensor([0, 0, 1]), 3, 1)).all()
