"""The interaction loss is least for PCA's leading components, and the diversity loss for layers that
differ.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regard.models.losses.interaction import interaction_loss, scale_diversity_loss


def unit(*shape, seed=0):
    return F.normalize(
        torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=2
    )


def features(*shape, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_interaction(maps, x):
    """One image: maps (k, P), features (C, P), by loops."""
    x = x - x.mean(axis=0)
    loss = 1 - sum(float(a @ channel) ** 2 for a in maps for channel in x) / float((x**2).sum())
    for m in range(len(maps)):
        for n in range(len(maps)):
            if m != n:
                loss += float(maps[m] @ maps[n]) ** 2
    return loss


def test_interaction_equation():
    maps, x = unit(3, 4, 15), features(3, 6, 3, 5)
    expected = np.mean([naive_interaction(maps[b].numpy(), x[b].flatten(1).numpy()) for b in range(3)])
    assert abs(interaction_loss(maps.view(3, 4, 3, 5), x).item() - expected) < 1e-12


@pytest.mark.parametrize("components", [1, 2, 4])
def test_the_minimiser_spans_the_leading_eigenspace(components):
    x = features(1, 9, 3, 5)
    free = torch.randn(
        1, components, 15, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [free], max_iter=2000, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = interaction_loss(F.normalize(free, dim=2).view(1, -1, 3, 5), x)
        loss.backward()
        return loss

    optimizer.step(closure)
    found = torch.linalg.qr(F.normalize(free.detach(), dim=2)[0].T).Q  # (P, k)
    centred = (x - x.mean(dim=1, keepdim=True)).flatten(2)[0]  # (C, P)
    leading = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -components:]
    assert torch.linalg.matrix_norm(found @ found.T - leading @ leading.T, ord=2) < 2e-5


def test_interaction_does_not_change_with_the_features_scale_or_common_map():
    maps, x = unit(2, 3, 15).view(2, 3, 3, 5), features(2, 6, 3, 5)
    loss = interaction_loss(maps, x)
    assert abs(interaction_loss(maps, 7 * x + features(2, 1, 3, 5, seed=8)) - loss) < 1e-12
    assert abs(interaction_loss(maps, x + features(2, 6, 3, 5, seed=8)) - loss) > 1e-3


def test_equal_maps_are_punished():
    x = features(1, 6, 3, 5)
    one = unit(1, 1, 15)
    alone, twice = (
        interaction_loss(one.view(1, 1, 3, 5), x),
        interaction_loss(one.expand(1, 2, 15).reshape(1, 2, 3, 5), x),
    )
    assert twice > alone + 1  # 2 of overlap, less at most 1 of variance


def test_interaction_of_constant_features_is_finite():
    assert torch.isfinite(
        interaction_loss(unit(1, 2, 15).view(1, 2, 3, 5), torch.ones(1, 6, 3, 5, dtype=torch.float64))
    )


def test_diversity_equation():
    scales = [unit(2, 3, 15, seed=seed) for seed in range(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    values = [
        float(scales[i][b, n] @ scales[j][b, n]) ** 2 for i, j in pairs for b in range(2) for n in range(3)
    ]
    assert abs(scale_diversity_loss(scales).item() - np.mean(values)) < 1e-12


def test_diversity_is_one_for_equal_and_zero_for_disjoint_maps():
    scale = unit(2, 3, 15)
    assert abs(scale_diversity_loss([scale, scale, scale]).item() - 1) < 1e-12
    assert abs(scale_diversity_loss([scale, -scale]).item() - 1) < 1e-12
    left, right = torch.zeros(1, 2, 15), torch.zeros(1, 2, 15)
    left[..., :7], right[..., 7:] = 1, 1
    assert scale_diversity_loss([F.normalize(left, dim=2), F.normalize(right, dim=2)]) == 0


def test_diversity_refuses_a_single_layer():
    with pytest.raises(ValueError, match="at least two layers, got 1"):
        scale_diversity_loss([unit(1, 2, 15)])
