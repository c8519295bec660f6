"""k-means and spectral clustering recover planted groups."""

import pytest
import torch

from regard.models.parts.clustering import kmeans, spectral_clustering


def agreement(found: torch.Tensor, planted: torch.Tensor) -> float:
    """Adjusted Rand index: 1 for the same partition, about 0 for a random one."""
    table = torch.zeros(int(found.max()) + 1, int(planted.max()) + 1, dtype=torch.float64)
    for a, b in zip(found.tolist(), planted.tolist(), strict=True):
        table[a, b] += 1

    def pairs(counts: torch.Tensor) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, rows, columns = pairs(table), pairs(table.sum(dim=1)), pairs(table.sum(dim=0))
    chance = rows * columns / pairs(torch.tensor([len(found)], dtype=torch.float64))
    return (both - chance) / ((rows + columns) / 2 - chance)


def test_agreement_can_fail():
    labels = torch.arange(60) % 3
    assert agreement((labels + 1) % 3, labels) == 1
    assert abs(agreement(torch.randint(3, (60,), generator=torch.Generator().manual_seed(0)), labels)) < 0.2


def test_kmeans_recovers_groups():
    random = torch.Generator().manual_seed(0)
    planted = torch.randint(4, (200,), generator=random)
    points = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])[planted] + torch.randn(
        200, 2, generator=random
    )
    found = kmeans(points, 4)
    assert agreement(found, planted) > 0.99
    assert torch.equal(found, kmeans(points, 4))


def test_spectral_clustering_recovers_rings():
    """Where k-means on the points cannot."""
    random = torch.Generator().manual_seed(0)
    planted = torch.arange(200) % 2
    angles, radius = 6.283 * torch.rand(200, generator=random), 1 + 2.0 * planted
    points = torch.stack([radius * angles.cos(), radius * angles.sin()], dim=1) + 0.05 * torch.randn(
        200, 2, generator=random
    )
    similarity = (-torch.cdist(points, points).square() / 0.1).exp()
    assert agreement(spectral_clustering(similarity, 2), planted) > 0.99
    assert agreement(kmeans(points, 2), planted) < 0.5


def test_refuses_more_clusters_than_points():
    with pytest.raises(ValueError, match="number of points 2, got 3"):
        kmeans(torch.randn(2, 2), 3)


def test_survives_equal_points():
    assert kmeans(torch.ones(5, 2), 2).shape == (5,)
