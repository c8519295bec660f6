"""MA-CNN's grouping losses against loops over positions, and what they are least for."""

import pytest
import torch

from regard.models.losses.grouping import compactness, grouping_loss, overlap


def draw(*shape: int) -> torch.Tensor:
    maps = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return maps / maps.sum(dim=(2, 3), keepdim=True)


def deltas(*places: tuple[int, int]) -> torch.Tensor:
    """One image's maps, each a single cell of 4 x 5."""
    maps = torch.zeros(1, len(places), 4, 5, dtype=torch.float64)
    for part, (row, column) in enumerate(places):
        maps[0, part, row, column] = 1
    return maps


@pytest.mark.parametrize("parts", [2, 4])
def test_equations(parts):
    maps, margin = draw(3, parts, 4, 5), 0.045
    dis, div = compactness(maps), overlap(maps, margin)
    total = 0.0
    for b in range(3):
        for i in range(parts):
            m = maps[b, i]
            ty, tx = divmod(int(m.argmax()), 5)
            cells = [(y, x) for y in range(4) for x in range(5)]
            near = sum(m[y, x] * ((x - tx) ** 2 + (y - ty) ** 2) for y, x in cells)
            others = [[maps[b, k, y, x] for k in range(parts) if k != i] for y, x in cells]
            shared = sum(m[y, x] * max(max(o) - margin, 0) for (y, x), o in zip(cells, others, strict=True))
            assert abs(dis[b, i] - near) < 1e-12
            assert abs(div[b, i] - shared) < 1e-12
            total += float(near + 2 * shared) / 3
    assert div.max() > 0
    assert abs(grouping_loss(maps, margin=margin).item() - total) < 1e-12


def test_compactness_is_zero_for_a_single_cell_only():
    assert (compactness(deltas((0, 0), (3, 4))) == 0).all()
    spread = deltas((1, 1))
    spread[0, 0, 1, 1], spread[0, 0, 1, 3] = 0.75, 0.25
    assert compactness(spread).item() == 0.25 * 4


def test_overlap_is_zero_for_disjoint_maps_and_for_noise():
    assert (overlap(deltas((0, 0), (3, 4), (2, 2))) == 0).all()
    faint = deltas((0, 0), (3, 4))
    faint[0, 1, 0, 0] = 0.02  # no more than the margin
    assert overlap(faint)[0, 0] == 0
    same = overlap(deltas((1, 1), (1, 1), (3, 3)))
    assert torch.allclose(same, torch.tensor([[0.98, 0.98, 0.0]], dtype=torch.float64))


def test_overlap_needs_two_maps():
    with pytest.raises(ValueError, match="at least two maps, got 1"):
        overlap(deltas((0, 0)))
