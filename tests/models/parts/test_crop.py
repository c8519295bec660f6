"""Crops against slices, and places in maps."""

import pytest
import torch
import torch.nn.functional as F

from regard.models.parts.crop import crop, peaks, squares


def box(*corners: float) -> torch.Tensor:
    return torch.tensor([[corners]], dtype=torch.float64)


@pytest.mark.parametrize("corners", [(0, 0, 9, 7), (2, 1, 6, 4), (5, 3, 9, 7), (3, 2, 4, 3)])
def test_whole_pixels_are_the_slice(draw, corners):
    x = draw(2, 3, 7, 9)
    left, top, right, bottom = corners
    out = crop(x, box(*corners), (bottom - top, right - left))
    assert out.shape == (2, 1, 3, bottom - top, right - left)
    assert (out[:, 0] - x[:, :, top:bottom, left:right]).abs().max() < 1e-12


@pytest.mark.parametrize("size", [(5, 5), (8, 3), (2, 11), (1, 1)])
def test_another_size_is_the_slice_resized(draw, size):
    x = draw(2, 3, 7, 9)
    expected = F.interpolate(x[:, :, 1:5, 3:9], size=size, mode="bilinear", align_corners=False)
    assert (crop(x, box(3, 1, 9, 5), size)[:, 0] - expected).abs().max() < 1e-12


def test_fractional_corners_sample_between_pixels():
    ramp = torch.arange(8, dtype=torch.float64).expand(1, 1, 3, 8)  # pixel i is i, its centre at i + 0.5
    out = crop(ramp, box(1.25, 0, 5.25, 3), (3, 4))[0, 0, 0, 1]
    assert torch.allclose(out, torch.tensor([1.25, 2.25, 3.25, 4.25], dtype=torch.float64))


def test_each_image_has_its_boxes_in_order(draw):
    x = draw(2, 3, 6, 6)
    boxes = torch.tensor(
        [[[0, 0, 2, 2], [4, 4, 6, 6], [1, 3, 3, 5]], [[2, 2, 4, 4], [0, 4, 2, 6], [3, 0, 5, 2]]]
    )
    out = crop(x, boxes, (2, 2))
    for b in range(2):
        for r in range(3):
            left, top, right, bottom = boxes[b, r].tolist()
            assert (out[b, r] - x[b, :, top:bottom, left:right]).abs().max() < 1e-12


def test_gradient_reaches_the_corners(draw):
    corners = box(1.3, 1.2, 5.7, 4.9).requires_grad_()
    x = draw(1, 2, 7, 8)
    assert torch.autograd.gradcheck(lambda corners: crop(x, corners, (3, 4)), corners)


def test_peaks_are_column_and_row_of_the_first_largest():
    maps = torch.zeros(1, 2, 3, 4)
    maps[0, 0, 2, 1] = maps[0, 0, 2, 3] = maps[0, 1, 0, 3] = 1
    assert peaks(maps).tolist() == [[[1, 2], [3, 0]]]


def test_squares_stay_inside():
    centres = torch.tensor([[[5.0, 4.0], [0.0, 0.0], [10.0, 8.0]]])
    expected = [[[3.5, 2.5, 6.5, 5.5], [0, 0, 3, 3], [7, 5, 10, 8]]]
    assert squares(centres, 3, width=10, height=8).tolist() == expected
