"""The category-consistent loss against Huang et al., CCNet, TPAMI 2020, section 3.4, class by class."""

import numpy as np
import pytest
import torch

from regard.models.losses.category_consistent import category_consistent_loss, phi_var
from regard.models.losses.criterion import UNLABELLED

DELTA_V, DELTA_D = 0.5, 1.5


def naive(features, labels):
    """The three terms, in loops over classes and positions."""
    h, label = (
        features.movedim(1, 3).reshape(-1, features.shape[1]).double().numpy(),
        labels.flatten().numpy(),
    )
    classes = sorted(set(label.tolist()) - {UNLABELLED})
    means = {c: np.mean([v for v, k in zip(h, label, strict=True) if k == c], axis=0) for c in classes}
    l_var = 0.0
    for c in classes:
        costs = []
        for v, k in zip(h, label, strict=True):
            if k == c:
                d = np.linalg.norm(means[c] - v)
                costs.append(
                    0
                    if d <= DELTA_V
                    else (d - DELTA_V) ** 2
                    if d <= DELTA_D
                    else d - DELTA_D + (DELTA_D - DELTA_V) ** 2
                )
        l_var += np.mean(costs) / len(classes)
    pairs = [(a, b) for a in classes for b in classes if a != b]
    gaps = [2 * DELTA_D - np.linalg.norm(means[a] - means[b]) for a, b in pairs]
    l_dis = np.mean([gap**2 if gap >= 0 else 0 for gap in gaps]) if pairs else 0.0
    return l_var + l_dis + 0.001 * np.mean([np.linalg.norm(means[c]) for c in classes])


def blobs(means, spread=0.0, *, seed=0):
    """Features (1, D, K, 8) around a mean in each row, with the row's number as label."""
    means = torch.tensor(means, dtype=torch.float64)
    noise = spread * torch.randn(
        len(means), 8, means.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return (means[:, None] + noise).permute(2, 0, 1)[None], torch.arange(len(means))[None, :, None].expand(
        1, -1, 8
    ).clone()


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 3.0])
def test_equations(scale):
    random = torch.Generator().manual_seed(1)
    features = scale * torch.randn(2, 4, 5, 6, generator=random, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 7, UNLABELLED])[torch.randint(0, 5, (2, 5, 6), generator=random)]
    assert category_consistent_loss(features, labels).item() == pytest.approx(
        naive(features, labels), rel=1e-5
    )


def test_tight_classes_far_apart_cost_nothing_but_their_size():
    features, labels = blobs([[4.0, 0.0], [0.0, 4.0], [-4.0, 0.0]], 0.05)
    assert category_consistent_loss(features, labels).item() == pytest.approx(0.001 * 4, rel=0.05)


def test_spread_and_nearness_cost():
    far, near = [[4.0, 0.0], [-4.0, 0.0]], [[0.5, 0.0], [-0.5, 0.0]]
    tight, wide, close = (
        category_consistent_loss(*blobs(means, spread))
        for means, spread in [(far, 0.05), (far, 1.0), (near, 0.05)]
    )
    assert wide > tight + 0.1
    assert close > tight + 3  # (2 * 1.5 - 1)^2 = 4


def test_gradient_gathers_and_parts():
    features, labels = blobs([[0.6, 0.0], [-0.6, 0.0]], 0.8)
    features.requires_grad_()
    first = category_consistent_loss(features, labels)
    first.backward()
    assert torch.isfinite(features.grad).all()
    assert category_consistent_loss(features - 2 * features.grad, labels) < first


def test_phi_var_is_flat_then_square_then_linear():
    d = torch.tensor([0.0, 0.3, 0.5, 1.0, 1.5, 2.5, 3.5], dtype=torch.float64, requires_grad=True)
    cost = phi_var(d)
    assert torch.allclose(cost, torch.tensor([0, 0, 0, 0.25, 1, 2, 3], dtype=torch.float64))
    (slope,) = torch.autograd.grad(cost.sum(), d)
    assert torch.allclose(slope, torch.tensor([0, 0, 0, 1, 2, 1, 1], dtype=torch.float64))


def test_unlabelled_positions_count_for_nothing():
    features, labels = blobs([[0.5, 0.0], [-0.5, 1.0]], 0.5)
    expected = category_consistent_loss(features[..., :5], labels[..., :5])
    labels[..., 5:] = UNLABELLED
    assert torch.allclose(category_consistent_loss(features, labels), expected)


def test_one_class_and_none():
    features, labels = blobs([[3.0, 4.0]])
    features.requires_grad_()
    assert category_consistent_loss(features, labels).item() == pytest.approx(0.005)
    nothing = category_consistent_loss(features, torch.full_like(labels, UNLABELLED))
    nothing.backward()
    assert nothing == 0
    assert torch.isfinite(features.grad).all()
