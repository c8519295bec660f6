"""Labelled images for the models of `served`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.serving.conftest import Exported, photo

COUNT = 7


@pytest.fixture(scope="module")
def classes(classifier: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of photos, labelled as they come."""
    folder = tmp_path_factory.mktemp("classes")
    lines = ["file,label"]
    for index in range(COUNT):
        Image.fromarray(photo(index, 40, 30)).save(folder / f"{index}.jpg")
        lines.append(f"{index}.jpg,{classifier.card.answer.labels[index]}")
    (folder / "list.csv").write_text("\n".join(lines))
    return folder / "list.csv"


@pytest.fixture(scope="module")
def maps(segmenter: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two sizes, and label maps of stripes."""
    folder = tmp_path_factory.mktemp("maps")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in range(COUNT):
        size = (64, 96) if index % 3 else (48, 40)
        Image.fromarray(photo(index, *size)).save(folder / "images" / f"{index}.png")
        truth = np.broadcast_to(np.arange(size[1]) // 9 + index, size) % 11
        Image.fromarray(truth.astype(np.uint8)).save(folder / "labels" / f"{index}.png")
    return folder
