"""Generated data that a small network learns in seconds, and recipes for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.models.training.recipe import Recipe

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)


@pytest.fixture
def mask_folders(tmp_path: Path) -> Path:
    """8 training and 4 held-out images of 24 x 32 in three coloured stripes, with their label maps; class 3
    is unlabelled.
    """
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        (tmp_path / "stripes" / split / "images").mkdir(parents=True)
        (tmp_path / "stripes" / split / "labels").mkdir()
        for i in range(count):
            mask = np.repeat((np.arange(32) // 6 + i) % 3, 24).reshape(32, 24).T.astype(np.uint8)
            pixels = COLOURS[mask] + random.integers(0, 30, (24, 32, 3), dtype=np.uint8)
            mask[:2] = 3
            Image.fromarray(pixels).save(tmp_path / "stripes" / split / "images" / f"{i:03}.png")
            Image.fromarray(mask).save(tmp_path / "stripes" / split / "labels" / f"{i:03}.png")
    return tmp_path


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """8 training and 4 held-out images of 16 x 16 in two colours, one folder per class."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for index, label in enumerate(("red", "green")):
            folder = tmp_path / "colours" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = COLOURS[index] + random.integers(0, 30, (20, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path


def changed(fields: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    for key, value in changes.items():
        *path, last = key.split("__")
        place = fields
        for step in path:
            place = place[step]
        place[last] = value
    return Recipe.model_validate(fields)


@pytest.fixture
def segmentation() -> Callable[..., Recipe]:
    """A recipe for `mask_folders`; keywords change it, two underscores for a dot."""

    def make(**changes: Any) -> Recipe:
        return changed(
            {
                "name": "stripes_net",
                "builder": "ccnet_resnet18",
                "options": {"width": 8, "inner": 16},
                "data": {
                    "layout": "mask_folders",
                    "folder": "stripes",
                    "source": "generated",
                    "licence": "CC0",
                },
                "input": {"height": 24, "width": 32, "resize": "none", "dynamic_size": True, "min_size": 16},
                "answer": {"kind": "label_map", "labels": ["red", "green", "blue"], "ignore_index": 3},
                "augmentation": {"flip": True, "crop": [16, 24], "scale": [0.8, 1.2], "colour": 0.1},
                "optimization": {
                    "epochs": 2,
                    "batch_size": 4,
                    "optimizer": "adamw",
                    "learning_rate": 2e-3,
                    "schedule": "poly",
                    "seed": 5,
                },
            },
            changes,
        )

    return make


@pytest.fixture
def classification() -> Callable[..., Recipe]:
    """A recipe for `class_folders`; keywords change it, two underscores for a dot."""

    def make(**changes: Any) -> Recipe:
        return changed(
            {
                "name": "colours_net",
                "builder": "se_resnet18",
                "options": {"width": 16, "stem": "small"},
                "data": {
                    "layout": "class_folders",
                    "folder": "colours",
                    "source": "generated",
                    "licence": "CC0",
                },
                "input": {"height": 16, "width": 16, "resize": "stretch"},
                "answer": {"kind": "classes", "labels": ["red", "green"]},
                "augmentation": {"flip": True, "shift": 1, "erase": 0.5},
                "optimization": {
                    "epochs": 2,
                    "batch_size": 4,
                    "optimizer": "sgd",
                    "learning_rate": 0.02,
                    "schedule": "cosine",
                    "seed": 5,
                },
            },
            changes,
        )

    return make
