"""Reading labelled images: the three layouts, and what is said when a folder does not hold them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from regard.contract.preprocess import UPRIGHT
from regard.errors import InvalidInput
from regard.models.training.data import load
from regard.models.training.recipe import Recipe

Make = Callable[..., Recipe]


def write_idx(path: Path, values: np.ndarray) -> None:
    header = b"\0\0\x08" + bytes([values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def idx(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    for prefix, count in (("train", 6), ("t10k", 3)):
        write_idx(
            folder / f"{prefix}-images-idx3-ubyte.gz", np.arange(count * 16 * 16).reshape(count, 16, 16) % 251
        )
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count) % 2)
    return tmp_path


@pytest.fixture
def digits(classification: Make) -> Make:
    def make(**changes: object) -> Recipe:
        return classification(data__layout="idx", data__folder="digits", **changes)

    return make


def test_idx(idx: Path, digits: Make) -> None:
    training, held_out = load(digits(), idx, "train"), load(digits(), idx, "val")
    assert (len(training), len(held_out)) == (6, 3)
    assert training.images.shape == (6, 16, 16, 3)
    assert training.images.dtype == torch.uint8
    assert (training.images[1, :, :, 0].flatten() == (torch.arange(256) + 256) % 251).all()
    assert (training.images == training.images[..., :1]).all()
    assert training.targets.tolist() == [0, 1, 0, 1, 0, 1]
    assert training.targets.dtype == torch.int64


def test_class_folders(class_folders: Path, classification: Make) -> None:
    training, held_out = (
        load(classification(), class_folders, "train"),
        load(classification(), class_folders, "val"),
    )
    assert training.images.shape == (8, 16, 16, 3)
    assert training.targets.tolist() == [0] * 4 + [1] * 4
    assert held_out.targets.tolist() == [0, 0, 1, 1]
    for image, target in zip(training.images, training.targets, strict=True):
        assert int(image.float().mean(dim=(0, 1)).argmax()) == int(target)


def test_mask_folders(mask_folders: Path, segmentation: Make) -> None:
    training = load(segmentation(), mask_folders, "train")
    assert training.images.shape == (8, 24, 32, 3)
    assert training.targets.shape == (8, 24, 32)
    assert training.targets.dtype == torch.uint8
    assert set(training.targets.unique().tolist()) == {0, 1, 2, 3}
    labelled = training.targets != 3
    assert (training.images.argmax(dim=3)[labelled] == training.targets[labelled]).all()


def test_masks_follow_images_to_another_size(mask_folders: Path, segmentation: Make) -> None:
    training = load(segmentation(input__height=48, input__width=64), mask_folders, "train")
    assert training.images.shape == (8, 48, 64, 3)
    labelled = training.targets != 3
    agree = (training.images.argmax(dim=3) == training.targets)[labelled].float().mean()
    assert agree > 0.95  # but for the interpolated borders
    assert set(training.targets.unique().tolist()) == {0, 1, 2, 3}


def test_masks_are_never_left_behind_by_a_crop(segmentation: Make) -> None:
    """A policy that cuts the centre out of the image would have to cut the label map too; it is refused."""
    changes = {
        "input__resize": "center_crop",
        "input__dynamic_size": False,
        "input__height": 24,
        "input__width": 24,
        "input__crop": 0.75,
    }
    with pytest.raises(ValidationError, match="label maps are not cropped"):
        segmentation(**changes, augmentation__crop=None, augmentation__scale=(1, 1))


def test_jpeg_and_webp_are_read(class_folders: Path, classification: Make) -> None:
    folder = class_folders / "colours" / "train" / "red"
    Image.new("RGB", (16, 16), (200, 40, 40)).save(folder / "x.JPG", "JPEG")
    Image.new("RGB", (16, 16), (200, 40, 40)).save(folder / "y.webp")
    (folder / "notes.txt").write_text("not an image")
    assert len(load(classification(), class_folders, "train")) == 10


# Errors


def test_no_folder(tmp_path: Path, classification: Make) -> None:
    with pytest.raises(InvalidInput, match=r"no data folder .*colours.*as the data root"):
        load(classification(), tmp_path, "train")


def test_no_split(class_folders: Path, classification: Make, mask_folders: Path, segmentation: Make) -> None:
    for root, recipe, folder in (
        (class_folders, classification(), "colours"),
        (mask_folders, segmentation(), "stripes"),
    ):
        (root / folder / "val").rename(root / folder / "test")
        with pytest.raises(InvalidInput, match=r"no images .*val"):
            load(recipe, root, "val")


def test_empty_class(class_folders: Path, classification: Make) -> None:
    for path in (class_folders / "colours" / "train" / "green").iterdir():
        path.unlink()
    with pytest.raises(InvalidInput, match=r"no images \(.*\.jpg.*in .*green"):
        load(classification(), class_folders, "train")


def test_a_file_that_is_no_image(class_folders: Path, classification: Make) -> None:
    (class_folders / "colours" / "train" / "red" / "0.png").write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match=r"red/0\.png: .*not a JPEG, PNG or WebP"):
        load(classification(), class_folders, "train")


def mask_of(root: Path) -> Path:
    return root / "stripes" / "train" / "labels" / "003.png"


def test_missing_mask(mask_folders: Path, segmentation: Make) -> None:
    mask_of(mask_folders).unlink()
    with pytest.raises(InvalidInput, match=r"cannot read the label map .*003\.png"):
        load(segmentation(), mask_folders, "train")


@pytest.mark.parametrize("kept", [0, 20, 60])
def test_damaged_mask(mask_folders: Path, segmentation: Make, kept: int) -> None:
    path = mask_of(mask_folders)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InvalidInput, match=r"cannot read the label map .*003\.png"):
        load(segmentation(), mask_folders, "train")


@pytest.mark.parametrize("kind", ["RGB", "I;16", "1"])
def test_mask_of_another_kind(mask_folders: Path, segmentation: Make, kind: str) -> None:
    mask = np.zeros((24, 32), np.uint16)
    image = {"RGB": Image.new("RGB", (32, 24)), "I;16": Image.fromarray(mask), "1": Image.new("1", (32, 24))}[
        kind
    ]
    image.save(mask_of(mask_folders))
    with pytest.raises(InvalidInput, match=r"003\.png must be an 8-bit image of class numbers"):
        load(segmentation(), mask_folders, "train")


def test_palette_masks_are_read_as_numbers(mask_folders: Path, segmentation: Make) -> None:
    path = mask_of(mask_folders)
    before = load(segmentation(), mask_folders, "train").targets[3]
    image = Image.open(path).copy()
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0])
    image.save(path)
    assert torch.equal(load(segmentation(), mask_folders, "train").targets[3], before)


def test_unknown_class_in_a_mask(mask_folders: Path, segmentation: Make) -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[5, 5] = 77
    Image.fromarray(mask).save(mask_of(mask_folders))
    with pytest.raises(InvalidInput, match=r"003\.png holds classes \[77\].*neither labels nor ignore_index"):
        load(segmentation(), mask_folders, "train")


def test_mask_of_another_size(mask_folders: Path, segmentation: Make) -> None:
    """A label map belongs to its image pixel by pixel."""
    Image.new("L", (24, 32)).save(mask_of(mask_folders))
    with pytest.raises(InvalidInput, match=r"003\.png.*(size|24|32)"):
        load(segmentation(), mask_folders, "train")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mask_is_turned", [False, True])
def test_turned_photographs_and_their_masks_meet_upright(
    mask_folders: Path, segmentation: Make, orientation: int, mask_is_turned: bool
) -> None:
    """A camera held sideways: the file says how to turn its pixels, and a label map may say so too."""
    upright = load(segmentation(), mask_folders, "train")
    image = mask_folders / "stripes" / "train" / "images" / "003.png"
    for path in [image, mask_of(mask_folders)][: 1 + mask_is_turned]:
        lay_on_its_side(path, orientation)
    again = load(segmentation(), mask_folders, "train")
    assert torch.equal(again.images, upright.images)
    assert torch.equal(again.targets, upright.targets)


def lay_on_its_side(path: Path, orientation: int) -> None:
    """Rewrite a PNG file as a camera would that was held so: EXIF undoes what is done to the pixels."""
    undone_by = {6: 8, 8: 6}.get(orientation, orientation)
    with Image.open(path) as image:
        pixels = image.transpose(UPRIGHT[undone_by]) if orientation > 1 else image.copy()
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels.save(path, exif=exif)


def test_a_mask_of_the_pixels_as_they_lie(mask_folders: Path, segmentation: Make) -> None:
    image = mask_folders / "stripes" / "train" / "images" / "003.png"
    lay_on_its_side(image, 6)
    with Image.open(mask_of(mask_folders)) as mask:
        lying = mask.transpose(Image.Transpose.ROTATE_90)
    lying.save(mask_of(mask_folders))
    with pytest.raises(InvalidInput, match=r"003\.png has the size \(32, 24\).*turned upright, \(24, 32\)"):
        load(segmentation(), mask_folders, "train")


def test_idx_of_another_size(idx: Path, digits: Make) -> None:
    with pytest.raises(InvalidInput, match=r"digits holds images of \(16, 16\), the recipe says 28 x 28"):
        load(digits(input__height=28, input__width=28), idx, "train")


def test_idx_with_unknown_class(idx: Path, digits: Make) -> None:
    write_idx(idx / "digits" / "train-labels-idx1-ubyte.gz", np.full(6, 7))
    with pytest.raises(InvalidInput, match="holds class 7, but there are 2 labels"):
        load(digits(), idx, "train")


def test_idx_with_fewer_labels_than_images(idx: Path, digits: Make) -> None:
    write_idx(idx / "digits" / "train-labels-idx1-ubyte.gz", np.zeros(5))
    with pytest.raises(InvalidInput, match="6.*5|5.*6"):
        load(digits(), idx, "train")


def test_idx_missing(idx: Path, digits: Make) -> None:
    (idx / "digits" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InvalidInput, match=r"cannot read .*t10k-labels-idx1-ubyte\.gz"):
        load(digits(), idx, "val")


@pytest.mark.parametrize(
    "damage",
    [
        "empty",
        "no gzip",
        "truncated gzip",
        "flipped gzip",
        "text",
        "floats",
        "short values",
        "short header",
        "rank 255",
    ],
)
def test_idx_damaged(idx: Path, digits: Make, damage: str) -> None:
    path = idx / "digits" / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    raw = gzip.decompress(whole)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    content = {
        "empty": b"",
        "no gzip": raw,
        "truncated gzip": whole[: len(whole) // 2],
        "flipped gzip": bytes(flipped),
        "text": gzip.compress(b"hello world, no images here"),
        "floats": gzip.compress(b"\0\0\x0d" + raw[3:]),
        "short values": gzip.compress(raw[:-100]),
        "short header": gzip.compress(raw[:6]),
        "rank 255": gzip.compress(b"\0\0\x08\xff" + raw[4:]),
    }[damage]
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"train-images-idx3-ubyte\.gz"):
        load(digits(), idx, "train")
