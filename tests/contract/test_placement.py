"""Back from a network's pixels to the image's: the inverse of `fit`, for every way to resize."""

import numpy as np
import pytest
from PIL import Image
from tests.documented import placed

from regard.contract.placement import place
from regard.contract.preprocess import Pixels, fit, seen

UNSEEN = 255
SIZES = [(24, 24), (61, 83), (200, 90), (90, 200), (13, 40), (7, 5), (480, 640)]  # smaller and larger
NETWORK = (32, 48)


def marked(rows: int, columns: int) -> tuple[Pixels, tuple[slice, slice]]:
    """A black image with a white rectangle around its centre, a little to the right and down."""
    region = slice(rows * 3 // 8, rows * 6 // 8), slice(columns * 3 // 8, columns * 6 // 8)
    image = np.zeros((rows, columns, 3), np.uint8)
    image[region] = 255
    return image, region


@pytest.mark.parametrize("crop", [1.0, 0.875])
@pytest.mark.parametrize("resize", ["stretch", "center_crop", "none"])
@pytest.mark.parametrize("size", SIZES)
def test_a_marked_region_comes_back_to_its_place(size: tuple[int, int], resize: str, crop: float) -> None:
    image, (rows, columns) = marked(*size)
    height, width = NETWORK if resize != "none" else size
    fitted = fit(image, resize=resize, height=height, width=width, interpolation="bilinear", crop=crop)
    found = place((fitted[..., 0] > 127).astype(np.uint8), size, resize=resize, crop=crop, unseen=UNSEEN)
    assert found.shape == size
    left, top, right, bottom = seen(*size, resize=resize, height=height, width=width, crop=crop)
    for axis, (edges, start, end, count) in enumerate(
        [(rows, top, bottom, height), (columns, left, right, width)]
    ):
        pixel = max(1, (end - start) / count)  # of the image, or of the network where that is larger
        marks = np.flatnonzero((found == 1).any(axis=1 - axis))
        assert abs(marks[0] - max(edges.start, start)) <= pixel
        assert abs(marks[-1] + 1 - min(edges.stop, end)) <= pixel
        labelled = np.flatnonzero((found != UNSEEN).any(axis=1 - axis))
        assert abs(labelled[0] - start) <= 0.5
        assert abs(labelled[-1] + 1 - end) <= 0.5


@pytest.mark.parametrize("crop", [1.0, 0.875, 0.3])
@pytest.mark.parametrize("resize", ["stretch", "center_crop", "none"])
@pytest.mark.parametrize("size", [*SIZES, NETWORK])
def test_the_documented_formula_gives_the_same(size: tuple[int, int], resize: str, crop: float) -> None:
    label_map = np.random.default_rng(0).integers(0, 9, NETWORK if resize != "none" else size, np.uint8)
    np.testing.assert_array_equal(
        placed()(label_map, *size, resize, crop, UNSEEN),
        place(label_map, size, resize=resize, crop=crop, unseen=UNSEEN),
    )


@pytest.mark.parametrize("size", [(480, 640), (128, 96)])  # where no centre lies between labels
def test_a_stretched_map_is_pillows_nearest(size: tuple[int, int]) -> None:
    label_map = np.random.default_rng(0).integers(0, 9, NETWORK, np.uint8)
    found = place(label_map, size, resize="stretch", crop=1, unseen=UNSEEN)
    expected = Image.fromarray(label_map).resize(size[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_what_a_crop_leaves_out_is_unseen() -> None:
    found = place(np.ones((4, 4), np.uint8), (4, 8), resize="center_crop", crop=1, unseen=UNSEEN)
    assert found.tolist() == [[255, 255, 1, 1, 1, 1, 255, 255]] * 4
    found = place(np.ones((4, 4), np.uint8), (8, 8), resize="center_crop", crop=0.5, unseen=9)
    assert (found == 1).sum() == 16
    assert (found[2:6, 2:6] == 1).all()
    assert set(np.unique(found)) == {1, 9}


def test_a_window_between_the_pixels_sees_none() -> None:
    found = place(np.ones((4, 4), np.uint8), (2, 2), resize="center_crop", crop=0.1, unseen=UNSEEN)
    assert (found == UNSEEN).all()


@pytest.mark.parametrize("resize", ["stretch", "center_crop", "none"])
def test_a_map_of_the_images_size_is_left_alone(resize: str) -> None:
    label_map = np.random.default_rng(0).integers(0, 9, (5, 7), np.uint8)
    assert place(label_map, (5, 7), resize=resize, crop=1, unseen=UNSEEN) is label_map
