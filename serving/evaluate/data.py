"""Labelled images to judge a model by: which layout a path holds, where, and how many of them are taken.

Folders lie directly in the data's folder, or in one of its splits: train, val, test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regard.contract.answers import Classes
from regard.contract.card import Card
from regard.errors import InvalidInput
from regard.models.label_files import IMAGES
from regard.serving.evaluate.layouts import LabelledImage, class_folders, csv_rows, idx, is_idx, label_maps
from regard.serving.one_image import check_one_image

SEED = 0  # of the sample that a limit takes
HELD_OUT = ("test", "val")  # splits that are judged where none is named, the first that is there


@dataclass(frozen=True)
class Data:
    """Labelled images in a fixed order.

    found_in: the CSV, the folder of the split, or the IDX file.
    total: how many there are; `images` may be a sample of them.
    """

    found_in: Path
    images: Sequence[LabelledImage]
    total: int

    @property
    def sample(self) -> str:
        """How the images were chosen, in words; "" where all there are were taken."""
        if len(self.images) == self.total:
            return ""
        return f"a sample of {len(self.images):,} of {self.total:,} images (seed {SEED})"


def find_data(path: Path, card: Card, *, split: str | None = None, limit: int | None = None) -> Data:
    """What `path` holds for a model of this Card, in one of the layouts of `regard.serving.evaluate.layouts`.

    Args:
        path: a folder, or a CSV.
        card: its labels are those that may occur.
        split: a folder below `path`, or "train" or "test" of IDX files. None: the folder itself, or its
            split test or val.
        limit: take a sample of so many images, the same every time.

    Raises:
        InvalidInput: no model of single images, no such folder, nothing in it, of a layout for another kind
            of model, or a label that the Card lacks.
    """
    check_one_image(
        card, "judging by labelled images", instead="`regard verify` holds it against its goldens"
    )
    if limit is not None and limit < 1:
        raise InvalidInput(f"a sample has one image or more, got {limit}")
    if not path.exists():
        raise InvalidInput(f"there are no labelled images at {path}: name a folder or a CSV")
    answer = card.answer
    if isinstance(answer, Classes):
        found_in, images = _by_class(path, answer, split)
    else:
        found_in, images = _by_label_map(path, card.name, split)
    total = len(images)
    if limit is not None and limit < total:
        taken = np.sort(np.random.default_rng(SEED).choice(total, limit, replace=False))
        images = [images[index] for index in taken.tolist()]
    return Data(found_in, images, total)


def _by_class(path: Path, answer: Classes, split: str | None) -> tuple[Path, list[LabelledImage]]:
    if is_idx(path):
        return idx(path, len(answer.labels), split or HELD_OUT[0])
    if path.is_file():
        if split is not None:
            raise InvalidInput(f"{path} is one list without splits; leave the split {split!r} out")
        return path, csv_rows(path, answer)
    folder = _split_of(path, split, answer.labels)
    if (folder / IMAGES).is_dir() and IMAGES not in answer.labels:
        raise InvalidInput(
            f"{folder} holds a folder {IMAGES!r}, as label maps have it, but the model classifies whole "
            "images: sort them into a folder for each label, or list them in a CSV"
        )
    return folder, class_folders(folder, answer.labels)


def _by_label_map(path: Path, model: str, split: str | None) -> tuple[Path, list[LabelledImage]]:
    folder = path if path.is_file() else _split_of(path, split, (IMAGES,))
    if not (folder / IMAGES).is_dir():
        raise InvalidInput(
            f"{folder} has no folder {IMAGES!r}, and {model} labels pixels: put its images into images/ and "
            "their label maps into labels/"
        )
    return folder, label_maps(folder)


def _split_of(folder: Path, split: str | None, own: Sequence[str]) -> Path:
    """The folder of a split; where none is named, `folder` itself if it holds one of its `own` folders."""
    if split is not None:
        if not (folder / split).is_dir():
            raise InvalidInput(f"{folder} has no split {split!r}: there is no such folder in it")
        return folder / split
    if any((folder / name).is_dir() for name in own if name):
        return folder
    return next((folder / name for name in HELD_OUT if (folder / name).is_dir()), folder)
