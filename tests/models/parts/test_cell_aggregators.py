"""Aggregators of cells by their sums written out, and what they must not notice."""

import numpy as np
import pytest
import torch

from regard.models.parts.cell_aggregators import AGGREGATORS


@pytest.fixture(params=AGGREGATORS)
def aggregator(request, randomized):
    return randomized(AGGREGATORS[request.param](4))


def written_out(name, n, m):
    """The equations, cell by cell, for the kept cells m alone."""
    if name == "CellSum":
        return sum(m)
    total = np.zeros(m.shape[1])
    if name == "CellRelations":
        for first in m:
            for second in m:
                pair = n["left.weight"] @ first + n["left.bias"] + n["right.weight"] @ second
                total += np.maximum(n["g.weight"] @ np.maximum(pair, 0) + n["g.bias"], 0)
        return total
    theta, phi, h = (
        [n[f"{part}.weight"] @ each + n[f"{part}.bias"] for each in m] for part in ("theta", "phi", "h")
    )
    for i, cell in enumerate(m):
        weights = np.exp([theta[i] @ each for each in phi])
        total += cell + sum(w * each for w, each in zip(weights / weights.sum(), h, strict=True))
    return total


def test_sums_are_those_over_the_kept_cells(aggregator, draw, arrays):
    cells = draw(3, 6, 4)
    kept = torch.tensor([[1, 0, 1, 1, 0, 0], [1] * 6, [0, 0, 0, 0, 0, 1]]).double()
    out = aggregator(cells, kept)
    numbers = arrays(aggregator)
    for each, mask, got in zip(cells.numpy(), kept.numpy() > 0, out.detach().numpy(), strict=True):
        expected = written_out(type(aggregator).__name__, numbers, each[mask])
        assert np.abs(got - expected).max() < 1e-12


def test_the_order_of_cells_does_not_matter(aggregator, draw):
    cells, kept = draw(2, 6, 4), torch.tensor([[1, 0, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1]]).double()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    assert (aggregator(cells[:, order], kept[:, order]) - aggregator(cells, kept)).abs().max() < 1e-12


def test_what_is_dropped_has_no_part(aggregator, draw):
    """Neither in the value nor in the gradient."""
    cells, kept = draw(1, 6, 4).requires_grad_(), torch.tensor([[1, 0, 1, 1, 0, 0]]).double()
    out = aggregator(cells, kept)
    (gradient,) = torch.autograd.grad(out.square().sum(), cells)
    assert torch.equal(gradient.abs().amax(dim=2) > 0, kept > 0)
    assert torch.equal(aggregator(cells * kept.unsqueeze(2), kept), out)
