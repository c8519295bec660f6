"""Results: areas, masks, overlays, files and run lengths."""

import numpy as np
import pytest
from PIL import Image

from regard.contract.palette import default_palette
from regard.contract.results import CUT_OFF, Segmentation
from regard.contract.rle import decode, encode
from regard.errors import InvalidInput, UnknownName

LABELS = ("road", "car", "tree")
PALETTE = ((128, 64, 128), (0, 0, 142), (107, 142, 35))


@pytest.fixture
def segmentation():
    label_map = np.zeros((4, 6), np.uint8)
    label_map[:, 3:] = 2
    label_map[0, 0] = 1
    return Segmentation(label_map, LABELS, PALETTE)


def test_area_is_a_fraction_per_label(segmentation):
    assert segmentation.area == {"road": 11 / 24, "car": 1 / 24, "tree": 12 / 24}


def test_mask_keeps_classes_and_colours(segmentation, tmp_path):
    path = segmentation.save(tmp_path / "mask.png")
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), segmentation.label_map)
        np.testing.assert_array_equal(
            np.asarray(image.convert("RGB")), np.array(PALETTE, np.uint8)[segmentation.label_map]
        )
    assert [file.name for file in tmp_path.iterdir()] == ["mask.png"]


def test_overlay_blends_and_stretches(segmentation):
    image = np.full((8, 12, 3), 200, np.uint8)
    assert np.asarray(segmentation.overlay(image, alpha=0)).tolist() == image.tolist()
    colours = np.asarray(segmentation.overlay(Image.fromarray(image), alpha=1))
    assert colours.shape == image.shape
    assert tuple(colours[7, 11]) == PALETTE[2]
    assert tuple(colours[1, 1]) == PALETTE[1]
    half = np.asarray(segmentation.overlay(image)).astype(int)
    assert abs(half[7, 11] - (np.array(PALETTE[2]) + 200) / 2).max() <= 1
    with pytest.raises(InvalidInput, match="alpha"):
        segmentation.overlay(image, alpha=1.5)


@pytest.fixture(params=[9, 255])
def cropped(request):
    """Six pixels, of which two were cut off before the network."""
    return Segmentation(np.array([[request.param, 0, 2], [request.param, 2, 2]], np.uint8), LABELS, PALETTE)


def test_what_was_cut_off_has_no_label(cropped):
    assert cropped.area == {"road": 1 / 6, "car": 0, "tree": 3 / 6}
    assert set(cropped.to_rle()) == {"road", "tree"}
    assert decode(cropped.to_rle()["tree"]).tolist() == [[False, False, True], [False, True, True]]


def test_what_was_cut_off_keeps_its_value_in_the_file(cropped, tmp_path):
    with Image.open(cropped.save(tmp_path / "mask.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), cropped.label_map)
        colours = np.asarray(image.convert("RGB"))
    assert tuple(colours[0, 0]) == CUT_OFF
    assert tuple(colours[1, 2]) == PALETTE[2]


def test_what_was_cut_off_stays_clear_in_the_overlay(cropped):
    image = np.full((4, 6, 3), 200, np.uint8)
    overlay = np.asarray(cropped.overlay(image, alpha=1))
    assert tuple(overlay[3, 1]) == (200, 200, 200)
    assert tuple(overlay[3, 5]) == PALETTE[2]


@pytest.mark.parametrize("clear", [("road",), (0,), ["road", 0]])
def test_overlay_leaves_classes_clear(segmentation, clear):
    image = np.full((8, 12, 3), 200, np.uint8)
    laid = np.asarray(segmentation.overlay(image, alpha=1, clear=clear))
    assert (laid[segmentation.label_map.repeat(2, 0).repeat(2, 1) == 0] == 200).all()
    assert tuple(laid[7, 11]) == PALETTE[2]
    assert tuple(laid[1, 1]) == PALETTE[1]


def test_overlay_refuses_classes_that_are_none(segmentation):
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(UnknownName, match=r"no label named 'rod'. Did you mean 'road'\?"):
        segmentation.overlay(image, clear=("rod",))
    for number in (3, -1):
        with pytest.raises(InvalidInput, match=f"the classes are 0 to 2, got {number}"):
            segmentation.overlay(image, clear=(number,))


@pytest.mark.parametrize("name", ["mask.jpg", "mask"])
def test_a_mask_is_a_png(segmentation, tmp_path, name):
    with pytest.raises(InvalidInput, match="PNG"):
        segmentation.save(tmp_path / name)


def test_rle_is_cocos():
    # down the columns: 0 1 1 1
    assert encode(np.array([[0, 1], [1, 1]], bool)) == {"size": (2, 2), "counts": [1, 3]}
    assert encode(np.array([[1, 0], [0, 0]], bool)) == {"size": (2, 2), "counts": [0, 1, 3]}
    assert encode(np.zeros((2, 3), bool)) == {"size": (2, 3), "counts": [6]}


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (13, 17)])
def test_rle_round_trip(shape, density):
    mask = np.random.default_rng(3).random(shape) < density
    np.testing.assert_array_equal(decode(encode(mask)), mask)


def test_rle_of_every_class_rebuilds_the_map(segmentation):
    rebuilt = np.zeros_like(segmentation.label_map)
    for label, rle in segmentation.to_rle().items():
        rebuilt[decode(rle)] = LABELS.index(label)
    np.testing.assert_array_equal(rebuilt, segmentation.label_map)


def test_classes_that_share_a_label_add_up():
    twins = Segmentation(np.array([[0, 1, 2]], np.uint8), ("sky", "car", "sky"), PALETTE)
    assert twins.area == {"sky": 2 / 3, "car": 1 / 3}
    assert decode(twins.to_rle()["sky"]).tolist() == [[True, False, True]]


def test_rle_that_does_not_fill_its_size_is_refused():
    with pytest.raises(ValueError, match="add up to 3"):
        decode({"size": (2, 2), "counts": [1, 2]})


def test_default_colours_differ_and_are_vocs():
    palette = default_palette(256)
    assert len(set(palette)) == 256
    assert palette[:3] == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
