"""Digits as trainings read them: the split, moved digits, pairs and clutter."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from regard.errors import InvalidInput
from regard.models.decoding.generated import END
from regard.models.training.families.digits import Digits, load_digits, shifted
from regard.models.training.families.glimpses.dasnet import cluttered
from regard.models.training.families.glimpses.dram import FIRST_DIGIT, pairs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve images of noise as each digit."""
    random = np.random.default_rng(0)
    (tmp_path / "digits").mkdir()
    for digit in range(10):
        values = random.integers(256, size=12 * 28 * 28) / 255
        (tmp_path / "digits" / f"{digit}.json").write_text(json.dumps({"data": values.tolist()}))
    return tmp_path


def test_the_split_is_by_the_pixels_hash(root):
    train, held_out = load_digits(root)
    assert len(train) + len(held_out) == 120
    assert 10 < len(held_out) < 40
    for digits, kept in ((train, True), (held_out, False)):
        for image in digits.images:
            assert (hashlib.sha256(image.numpy().tobytes()).digest()[0] >= 51) is kept
        assert digits.targets.bincount().sum() == len(digits)


def test_says_what_is_missing(root):
    (root / "digits" / "3.json").write_text('{"data": [0.5, 1]}')
    with pytest.raises(InvalidInput, match=r"3\.json holds no digits of 28 x 28"):
        load_digits(root)
    (root / "digits" / "3.json").unlink()
    with pytest.raises(InvalidInput, match=r"cannot read the digits .*3\.json.*docs/data\.md"):
        load_digits(root)


def test_digits_are_moved_whole():
    images = torch.zeros(50, 28, 28, dtype=torch.uint8)
    images[:, 13, 14] = 255
    moved = shifted(images, 2, torch.Generator().manual_seed(0))
    places = moved.flatten(1).argmax(dim=1)
    assert (moved.flatten(1).sum(dim=1) == 255).all()
    assert set((places // 28).tolist()) == {11, 12, 13, 14, 15}
    assert set((places % 28).tolist()) == {12, 13, 14, 15, 16}


def numbered(count: int) -> Digits:
    """Images of one grey each, which tells them apart; image i is of class i."""
    greys = torch.arange(1, count + 1, dtype=torch.uint8) * 10
    return Digits(greys[:, None, None].expand(-1, 28, 28), torch.arange(count))


def test_pairs_lie_side_by_side_and_say_their_digits():
    left, right = torch.tensor([3, 1, 3, 9]), torch.tensor([0, 1, 4, 2])
    images, words = pairs(numbered(10), left, right, torch.Generator().manual_seed(0))
    assert images.shape == (4, 1, 56, 56)
    assert words.tolist() == [
        [a + FIRST_DIGIT, b + FIRST_DIGIT, END] for a, b in zip(left.tolist(), right.tolist(), strict=True)
    ]
    for image, a, b in zip(images, left, right, strict=True):
        for half, digit in ((image[0, :, :28], a), (image[0, :, 28:], b)):
            assert (half == (digit + 1) * 10 / 255).sum() == 28 * 28


def test_clutter_lies_over_the_digits_and_leaves_them_as_they_were():
    digits = numbered(10)
    x = cluttered(digits, torch.tensor([2, 5]), torch.Generator().manual_seed(0))
    for image, own in zip(x, (30, 60), strict=True):
        assert (image >= own / 255 - 1e-6).all()
        covered = (image > own / 255 + 1e-6).sum()
        assert 0 < covered <= 3 * 81
    assert torch.equal(digits.images, numbered(10).images)
