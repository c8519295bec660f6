"""Labelled images as each layout holds them; an image is read when its turn comes.

class folders  <label>/*.{jpg,png,...}
a CSV          columns file,label; files are found from the CSV's own folder. Where labels do not exclude each
               other a cell holds any number of them, with semicolons between.
label maps     images/*.{jpg,png,...} and labels/<same stem>.png, 8-bit class numbers of the upright image
IDX            t10k-images-idx3-ubyte.gz and its kin, of MNIST and Fashion-MNIST
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.contract.answers import Classes
from regard.contract.image_files import images_in
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput, UnknownName
from regard.models.label_files import IMAGES, idx_images, label_map_beside, read_labelled_idx

IDX_SPLITS = {"test": "t10k", "val": "t10k", "train": "train"}  # -> how the files' names begin
COLUMNS = ("file", "label")
BETWEEN = ";"  # labels of one image


@dataclass(frozen=True)
class LabelledImage:
    """An image and what is true of it.

    image: its file, or grey pixels uint8 (H, W).
    truth: the numbers of the labels that apply, or the file of its label map.
    """

    name: str
    image: Path | Pixels
    truth: tuple[int, ...] | Path


def is_idx(folder: Path) -> bool:
    """Whether a folder holds MNIST's files."""
    return any(idx_images(folder, prefix).is_file() for prefix in IDX_SPLITS.values())


def idx(folder: Path, num_labels: int, split: str) -> tuple[Path, list[LabelledImage]]:
    """The file of a split's images, and these, numbered."""
    if split not in IDX_SPLITS:
        raise UnknownName.among("split", split, IDX_SPLITS)
    pixels, classes = read_labelled_idx(folder, IDX_SPLITS[split], num_labels)
    images = [
        LabelledImage(f"{index:05}", image, (number,))
        for index, (image, number) in enumerate(zip(pixels, classes.tolist(), strict=True))
    ]
    return idx_images(folder, IDX_SPLITS[split]), images


def class_folders(folder: Path, labels: Sequence[str]) -> list[LabelledImage]:
    """The images in a folder for each label, in the labels' order; a label may have none."""
    numbers = numbers_of(labels)
    first_parts = {Path(label).parts[0] for label in labels if label}  # a label such as T-shirt/top
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    for name in found:
        if name not in first_parts:
            raise UnknownName(f"the folder {folder / name}: {UnknownName.among('label', name, labels)}")
    images = [
        LabelledImage(str(image.relative_to(folder)), image, (number,))
        for label, number in numbers.items()
        if label and (folder / label).is_dir()
        for image in images_in(folder / label)
    ]
    if not images:
        raise InvalidInput(f"{folder} holds no labelled images: give it a folder for each label")
    return images


def csv_rows(path: Path, answer: Classes) -> list[LabelledImage]:
    """The files listed, in the lines' order."""
    numbers = numbers_of(answer.labels)
    rows = []
    for line, row in _lines(path):
        file, cell = (row[column] for column in COLUMNS)
        several = answer.activation == "sigmoid"
        named = [each.strip() for each in cell.split(BETWEEN) if each.strip()] if several else [cell.strip()]
        for label in named:
            if label not in numbers:
                raise UnknownName(f"{path}, line {line}: {UnknownName.among('label', label, numbers)}")
        if not (path.parent / file).is_file():
            raise InvalidInput(f"{path}, line {line}: there is no file {path.parent / file}")
        truth = tuple(sorted({numbers[label] for label in named}))
        rows.append(LabelledImage(file, path.parent / file, truth))
    if not rows:
        raise InvalidInput(f"{path} lists no images; write a line file,label for each")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise InvalidInput(
                    f"{path} has no column {missing[0]!r}; its first line must name the columns file,label"
                )
            for row in reader:
                if any(row[column] is None for column in COLUMNS):
                    raise InvalidInput(f"{path}, line {reader.line_num}: write a file and a label")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"cannot read {path} as a CSV: {error}") from None


def label_maps(folder: Path) -> list[LabelledImage]:
    """Each image and the file of its label map, by the images' names."""
    pairs = [(image, label_map_beside(image)) for image in images_in(folder / IMAGES)]
    for image, label_map in pairs:
        if not label_map.is_file():
            raise InvalidInput(f"the image {image} has no label map: there is no file {label_map}")
    return [LabelledImage(image.name, image, label_map) for image, label_map in pairs]


def numbers_of(labels: Sequence[str]) -> dict[str, int]:
    """The number of each label.

    Raises:
        InvalidInput: one names two classes, and cannot say which is meant.
    """
    label, count = Counter(labels).most_common(1)[0]
    if count > 1:
        raise InvalidInput(
            f"the Card gives {count} classes the label {label!r}, so that an answer cannot be told right or "
            "wrong: give each a label of its own"
        )
    return {label: number for number, label in enumerate(labels)}
