"""Which cells hard attention keeps: exactly so many, or those that stand out, and what trains them."""

import pytest
import torch

from regard.models.parts.presence import AdaptiveCells, TopCells


def test_the_top_cells_are_exactly_so_many_even_among_equals(draw):
    cells = draw(3, 12, 5)
    cells[1] = cells[1, :1]  # all equal
    for count in (1, 4, 12):
        attention = TopCells(count)
        mask = attention.mask(cells)
        assert (mask.sum(dim=1) == count).all()
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        lengths = cells.square().sum(dim=2).sqrt()
        for kept, length in zip(mask.bool(), lengths, strict=True):
            assert length[kept].min() >= length[~kept].max() if count < 12 else kept.all()


def test_top_cells_come_whole(draw):
    """Bit for bit, the masked ones and no others."""
    cells = draw(2, 9, 4)
    attention = TopCells(3)
    kept, counts = attention(cells)
    assert torch.equal(counts, torch.ones(2, 3, dtype=torch.float64))
    for row, mask, each in zip(cells, attention.mask(cells).bool(), kept, strict=True):
        assert {tuple(cell.tolist()) for cell in each} == {tuple(cell.tolist()) for cell in row[mask]}


def test_adaptive_cells_are_those_above_the_uniform_share(draw):
    cells = 2 * draw(5, 16, 3)
    p = cells.square().sum(dim=2).sqrt()
    share = p.exp() / p.exp().sum(dim=1, keepdim=True)
    mask = AdaptiveCells().mask(cells)
    assert torch.equal(mask, (share >= 1 / 16).double())
    assert len(mask.sum(dim=1).unique()) > 1  # another number for another image
    assert ((mask.sum(dim=1) >= 1) & (mask.sum(dim=1) < 16)).all()


@pytest.mark.parametrize("count", range(1, 70))
def test_adaptive_cells_are_never_none(count):
    """Where all are alike, each has exactly the uniform share, and rounding must not lose them."""
    assert AdaptiveCells().mask(torch.full((2, count, 7), 0.1)).all()


@pytest.mark.parametrize("attention", [TopCells(4), AdaptiveCells()], ids=["top", "adaptive"])
def test_only_kept_cells_have_a_gradient(attention, draw):
    cells = (2 * draw(2, 9, 4)).requires_grad_()
    kept, counts = attention(cells)
    (kept * counts.unsqueeze(2)).square().sum().backward()
    assert torch.equal(cells.grad.abs().amax(dim=2) > 0, attention.mask(cells).bool())


def test_refuses_too_few_cells(draw):
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        TopCells(0)
    with pytest.raises(ValueError, match="at least count = 5 cells, got 4"):
        TopCells(5)(draw(1, 4, 3))
