"""The variants' accuracy on labelled images, and which are good enough."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.serving.conftest import mean_colour

from regard.errors import InvalidInput
from regard.serving.evaluate.data import find_data
from regard.serving.tune.accuracy import measured
from regard.serving.tune.candidates import Candidate

LABELS = ("red", "green", "blue")


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A folder for each label with images of its colour, and one green image among the red ones."""
    for channel, label in enumerate(LABELS):
        (tmp_path / "colours" / label).mkdir(parents=True)
        for number in range(3):
            pixels = np.zeros((8, 8, 3), np.uint8)
            pixels[..., channel] = 150 + number
            Image.fromarray(pixels).save(tmp_path / "colours" / label / f"{number}.png")
    Image.fromarray(np.full((8, 8, 3), (0, 200, 0), np.uint8)).save(
        tmp_path / "colours" / "red" / "green.png"
    )
    return tmp_path / "colours"


@pytest.mark.parametrize("count", [1, 2])
def test_one_variant_and_several_are_judged_alike(tmp_path: Path, colours: Path, count: int) -> None:
    artifact = mean_colour(tmp_path / "colour")
    candidates = [Candidate(f"variant {number}", artifact, 1.0) for number in range(count)]
    advanced: list[None] = []
    found = measured(candidates, find_data(colours, artifact.card), lambda: advanced.append(None))
    assert (found.metric, found.measured) == ("top1", True)
    assert found.values == dict.fromkeys((each.name for each in candidates), 0.9)
    assert found.good == {each.name for each in candidates}
    assert len(advanced) == 10


def test_images_that_cannot_be_read_are_an_error(tmp_path: Path, colours: Path) -> None:
    artifact = mean_colour(tmp_path / "colour")
    (colours / "red" / "0.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"0\.png"):
        measured([Candidate("float32", artifact, 1.0)], find_data(colours, artifact.card))
