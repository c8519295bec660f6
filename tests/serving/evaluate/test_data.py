"""Finding labelled images: the layouts, the order, and what is said of those that do not fit."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.contract.answers import Classes, LabelMap
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.errors import InvalidInput, UnknownName
from regard.serving.evaluate.data import find_data
from regard.serving.evaluate.run import evaluate
from regard.serving.evaluate.subject import Subject

LABELS = ("cat", "dog", "T-shirt/top")


def card(answer: Any) -> Card:
    return Card(
        name="judged",
        inputs=(ImageInput(height=8, width=8, resize="stretch"),),
        answer=answer,
        origin=Origin(builder="tests:none"),
    )


CLASSES = card(Classes(labels=LABELS))
SEVERAL = card(Classes(labels=LABELS, activation="sigmoid"))
PIXELS = card(LabelMap(labels=("road", "sky"), ignore_index=2))


def image(path: Path, shape: tuple[int, ...] = (4, 6, 3), value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for name in ("dog/b.png", "dog/a.jpg", "cat/z.png", "T-shirt/top/x.png"):
            image(tmp_path / split / name)
        (tmp_path / split / ".cache").mkdir()
    return tmp_path


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    for index in range(3):
        image(tmp_path / "images" / f"{index}.jpg")
        image(tmp_path / "labels" / f"{index}.png", (4, 6), index)
    return tmp_path


def write_idx(path: Path, values: np.ndarray) -> None:
    header = b"\0\0\x08" + bytes([values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def idx(tmp_path: Path) -> Path:
    for prefix, count in (("train", 6), ("t10k", 3)):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", np.arange(count * 64).reshape(count, 8, 8))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count) % 3)
    return tmp_path


def test_a_folder_for_each_label(folders: Path) -> None:
    """Of splits val is taken; a label may hold a slash, and folders that begin with a dot are no labels."""
    data = find_data(folders, CLASSES)
    assert data.found_in == folders / "val"
    expected = {"cat/z.png": (0,), "dog/a.jpg": (1,), "dog/b.png": (1,), "T-shirt/top/x.png": (2,)}
    assert [(one.name, one.truth) for one in data.images] == [*expected.items()]
    assert find_data(folders, CLASSES, split="train").found_in == folders / "train"
    assert [one.name for one in find_data(folders / "val", CLASSES).images] == [*expected]


def test_a_csv(tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png"):
        image(tmp_path / name)
    (tmp_path / "list.csv").write_text("\ufefffile,label,by\ndeep/b.png,dog,me\na.png, cat ,you\n")
    data = find_data(tmp_path / "list.csv", CLASSES)
    assert [(one.name, one.image, one.truth) for one in data.images] == [
        ("deep/b.png", tmp_path / "deep" / "b.png", (1,)),
        ("a.png", tmp_path / "a.png", (0,)),
    ]


def test_a_csv_of_several_labels(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("file,label\na.png,dog;cat; dog\na.png,\n")
    assert [one.truth for one in find_data(tmp_path / "list.csv", SEVERAL).images] == [(0, 1), ()]


def test_label_maps(maps: Path) -> None:
    data = find_data(maps, PIXELS)
    assert [(one.name, one.truth) for one in data.images] == [
        (f"{index}.jpg", maps / "labels" / f"{index}.png") for index in range(3)
    ]


def test_idx(idx: Path) -> None:
    data = find_data(idx, CLASSES)
    assert [one.truth for one in data.images] == [(0,), (1,), (2,)]
    last = data.images[-1].image
    assert isinstance(last, np.ndarray)
    assert last.tolist() == (np.arange(128, 192) % 256).reshape(8, 8).tolist()
    assert len(find_data(idx, CLASSES, split="train").images) == 6
    with pytest.raises(UnknownName, match="no split named 'tset'. Did you mean 'test'"):
        find_data(idx, CLASSES, split="tset")


def test_a_limit_takes_the_same_sample_every_time(idx: Path) -> None:
    taken = [[one.name for one in find_data(idx, CLASSES, split="train", limit=4).images] for _ in range(2)]
    assert taken[0] == taken[1] == sorted(taken[0])
    assert len(set(taken[0])) == 4
    assert find_data(idx, CLASSES, split="train", limit=4).total == 6
    assert len(find_data(idx, CLASSES, limit=99).images) == 3
    with pytest.raises(InvalidInput, match="one image or more, got 0"):
        find_data(idx, CLASSES, limit=0)


def test_what_is_not_there(tmp_path: Path, folders: Path) -> None:
    with pytest.raises(InvalidInput, match="no labelled images at .*nowhere"):
        find_data(tmp_path / "nowhere", CLASSES)
    with pytest.raises(InvalidInput, match="has no split 'test'"):
        find_data(folders, CLASSES, split="test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no labelled images: give it a folder for each label"):
        find_data(tmp_path / "empty", CLASSES)
    with pytest.raises(InvalidInput, match="has no folder 'images', and judged labels pixels"):
        find_data(tmp_path / "empty", PIXELS)
    (tmp_path / "empty" / "cat").mkdir()
    with pytest.raises(InvalidInput, match="no images .* in .*cat"):
        find_data(tmp_path / "empty", CLASSES)


def test_an_unknown_label_has_neighbours(folders: Path, tmp_path: Path) -> None:
    image(folders / "val" / "dgo" / "a.png")
    with pytest.raises(UnknownName, match=r"val/dgo: no label named 'dgo'. Did you mean 'dog'\?"):
        find_data(folders, CLASSES)
    (tmp_path / "list.csv").write_text("file,label\nval/dgo/a.png,cat\nval/dgo/a.png,catt\n")
    with pytest.raises(UnknownName, match=r"list.csv, line 3: no label named 'catt'. Did you mean 'cat'\?"):
        find_data(tmp_path / "list.csv", CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'file'; its first line must name the columns file,label"),
        ("file,class\na.png,cat\n", "no column 'label'"),
        ("file,label\n", "lists no images"),
        ("file,label\na.png\n", "line 2: write a file and a label"),
        ("file,label\nb.png,cat\n", "line 2: there is no file .*b.png"),
        ("file,label\na.png,cat;dog\n", "no label named 'cat;dog'"),
    ],
)
def test_a_csv_that_does_not_fit(text: str, message: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        find_data(tmp_path / "list.csv", CLASSES)


def test_a_csv_of_other_bytes_and_a_split_of_one(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"file,label\n\xff\xfe,cat\n")
    with pytest.raises(InvalidInput, match="cannot read .*list.csv as a CSV"):
        find_data(tmp_path / "list.csv", CLASSES)
    with pytest.raises(InvalidInput, match="is one list without splits; leave the split 'val' out"):
        find_data(tmp_path / "list.csv", CLASSES, split="val")
    with pytest.raises(InvalidInput, match="judged labels pixels"):
        find_data(tmp_path / "list.csv", PIXELS)


def test_data_of_another_task(maps: Path) -> None:
    with pytest.raises(InvalidInput, match="a folder 'images', .* but the model classifies whole images"):
        find_data(maps, CLASSES)


def test_classes_beyond_the_card(idx: Path) -> None:
    with pytest.raises(InvalidInput, match="holds class 2, but there are 2 labels"):
        find_data(idx, card(Classes(labels=("cat", "dog"))))


def test_a_label_map_that_is_missing(maps: Path) -> None:
    (maps / "labels" / "1.png").unlink()
    with pytest.raises(InvalidInput, match="1.jpg has no label map: there is no file .*1.png"):
        find_data(maps, PIXELS)


def sky(images: Any) -> Any:
    """Says of each image that it is all sky."""
    for path in images:
        with Image.open(path) as file:
            yield PIXELS.answer.result(np.ones((file.height, file.width), np.uint8))


def test_pixels_without_a_label_are_left_out(maps: Path) -> None:
    """By the Card's number, or by another one; a number of a label is none."""
    subject = Subject("judged", "by hand", PIXELS, sky)
    data = find_data(maps, PIXELS)
    found = evaluate(subject, data)
    assert [row["support"] for row in found.figures.labels] == [24, 24]
    assert found.figures.metrics == {"mean_iou": 0.25, "pixel_accuracy": 0.5}
    assert [judged.score for judged in found.each] == [0, 1, 1]
    with pytest.raises(InvalidInput, match=r"2.png holds classes \[2\]"):
        evaluate(subject, data, ignore_index=255)
    with pytest.raises(InvalidInput, match="ignore_index 1 is the label 'sky'"):
        evaluate(subject, data, ignore_index=1)
    with pytest.raises(InvalidInput, match="ignore_index is for label maps"):
        evaluate(Subject("judged", "by hand", CLASSES, sky), data, ignore_index=9)
