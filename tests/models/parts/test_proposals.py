"""Candidate boxes and sums over them."""

import pytest
import torch

from regard.models.parts.proposals import box_sums, check_boxes, coverage, grid_boxes, pixels


def test_grid():
    assert grid_boxes([(1.0, 1), (0.5, 2)]) == (
        (0, 0, 1, 1),
        (0, 0, 0.5, 0.5),
        (0.5, 0, 1, 0.5),
        (0, 0.5, 0.5, 1),
        (0.5, 0.5, 1, 1),
    )
    assert grid_boxes([(0.5, 1)]) == ((0.25, 0.25, 0.75, 0.75),)
    assert check_boxes(grid_boxes([(0.35, 6), (0.75, 3)]))
    with pytest.raises(ValueError, match="1.5 and 2"):
        grid_boxes([(1.5, 2)])


def test_sums_are_those_of_slices():
    maps = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    boxes = torch.tensor(
        [[0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1], [0.125, 0.25, 0.25, 0.5]], dtype=torch.float64
    )
    expected = torch.stack([maps[:, 2:, 2:6].sum(dim=(1, 2)), maps.sum(dim=(1, 2)), maps[:, 1, 1]], dim=1)
    assert (box_sums(maps, boxes) - expected).abs().max() < 1e-12


def test_partly_covered_cells_count_in_part():
    covered = coverage(torch.tensor([0.125]), torch.tensor([0.8125]), 4)
    assert torch.allclose(covered, torch.tensor([[0.5, 1, 1, 0.25]]))


def test_pixels():
    assert pixels(torch.tensor([0.25, 0.5, 1, 1]), torch.zeros(1, 3, 10, 20)).tolist() == [5, 5, 20, 10]


@pytest.mark.parametrize("box", [[0.5, 0, 0.5, 1], [0, 0, 1.1, 1], [-0.1, 0, 1, 1], [0, 0, 1]])
def test_refuses_what_is_no_box(box):
    with pytest.raises(ValueError, match="left < right"):
        check_boxes([box])
    with pytest.raises(ValueError, match="at least one"):
        check_boxes([])
