"""A heat map's picture: warm where the class is seen, the image itself elsewhere."""

import numpy as np
import pytest
from PIL import Image

from regard.contract.heat_map import HeatMap
from regard.contract.image_input import ImageInput
from regard.errors import InvalidInput

GREY = np.full((40, 80, 3), 100, np.uint8)


def test_the_warmest_place_is_yellow_and_the_cold_ones_are_clear() -> None:
    values = np.array([[-5, 0, 2, 4]], np.float32).repeat(4, axis=0)
    drawn = np.asarray(HeatMap(values).overlay(Image.fromarray(GREY), alpha=1))
    assert drawn.shape == GREY.shape
    np.testing.assert_array_equal(drawn[:, :10], GREY[:, :10])
    np.testing.assert_array_equal(drawn[:, 75:], np.broadcast_to((255, 255, 0), (40, 5, 3)))
    red, green, blue = drawn[20, 50].astype(int)  # half as warm
    assert red > 150 > green > blue


def test_what_a_crop_left_out_stays_clear() -> None:
    contract = ImageInput(height=16, width=16, resize="center_crop")
    heat = contract.heat_map(np.ones((16, 16), np.float32), (40, 80))
    assert heat.box == (0.25, 0, 0.75, 1)
    drawn = np.asarray(heat.overlay(GREY))
    changed = (drawn != GREY).any(axis=2)
    assert changed[:, 20:60].all()
    assert changed.sum() == 40 * 40


@pytest.mark.parametrize("values", [np.zeros((4, 4)), np.full((4, 4), -1.0)])
def test_nothing_that_speaks_for_the_class(values: np.ndarray) -> None:
    drawn = HeatMap(values.astype(np.float32)).overlay(GREY)
    np.testing.assert_array_equal(np.asarray(drawn), GREY)


def test_a_weight_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="alpha must lie between 0 and 1, got 2"):
        HeatMap(np.zeros((4, 4), np.float32)).overlay(GREY, alpha=2)
