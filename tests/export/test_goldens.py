"""Goldens tell kinds of preprocessing apart, and come back as they were written."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.export.conftest import Exported

from regard.contract.goldens import read_goldens
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import Pixels, decode, open_image
from regard.errors import InvalidInput
from regard.export.proof.goldens import golden_images
from regard.models.samples import sample_folder

CROPPED = ImageInput(height=64, width=64, resize="center_crop", crop=0.875)


@pytest.fixture(scope="module")
def goldens(exported: Exported) -> dict[str, bytes]:
    photographs = sorted(sample_folder(exported.card).iterdir())
    return golden_images([decode(path.read_bytes()) for path in photographs], CROPPED)


def test_there_is_one_of_each_kind(goldens: dict[str, bytes]) -> None:
    opened = {name: open_image(encoded) for name, encoded in goldens.items()}
    assert len(opened) == 6
    assert opened["landscape.jpg"].width > opened["landscape.jpg"].height > 2 * CROPPED.height
    assert opened["portrait.jpg"].getexif()[0x0112] == 6
    assert opened["grey.png"].mode == "L"
    assert opened["alpha.png"].mode == "RGBA"
    assert opened["exact.jpg"].size == (64, 64)
    assert opened["narrow.png"].width > 2 * opened["narrow.png"].height
    assert sum(map(len, goldens.values())) < 1_000_000


def _other(**changes: object) -> Callable[[bytes], Pixels]:
    return lambda encoded: CROPPED.model_copy(update=changes).fit(decode(encoded))


def _draft(encoded: bytes) -> Pixels:
    image = Image.open(io.BytesIO(encoded))
    image.draft("RGB", (64, 64))
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=image.getexif())
    return CROPPED.fit(decode(stream.getvalue()))


def _unturned(encoded: bytes) -> Pixels:
    return CROPPED.fit(np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")))


def _nearest(encoded: bytes) -> Pixels:
    whole = Image.fromarray(decode(encoded))
    return np.asarray(whole.resize((64, 64), Image.Resampling.NEAREST))


OTHER_WAYS: dict[str, Callable[[bytes], Pixels]] = {
    "bicubic": _other(interpolation="bicubic"),
    "stretched": _other(resize="stretch"),
    "another crop": _other(crop=0.9),
    "a crop off by one": lambda encoded: np.roll(CROPPED.fit(decode(encoded)), 1, axis=1),
    "BGR": lambda encoded: CROPPED.fit(decode(encoded))[..., ::-1],
    "draft mode": _draft,
    "EXIF ignored": _unturned,
    "nearest": _nearest,
}


@pytest.mark.parametrize("way", OTHER_WAYS.values(), ids=OTHER_WAYS.keys())
def test_another_preprocessing_gives_other_pixels(
    goldens: dict[str, bytes], way: Callable[[bytes], Pixels]
) -> None:
    differences = [
        np.abs(way(encoded).astype(int) - CROPPED.fit(decode(encoded))).mean() for encoded in goldens.values()
    ]
    assert max(differences) > 1  # of 255 grey levels, on average over an image


def test_an_export_writes_them_with_both_answers(exported: Exported) -> None:
    goldens = read_goldens(exported.artifact.folder / "goldens")
    assert len(goldens) == 6
    answer = exported.card.answer
    for golden in goldens:
        assert golden.answer.shape == golden.reference.shape == golden.pixels.shape[:2]
        assert answer.agreement(golden.reference[None], golden.answer[None]) >= answer.min_agreement


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "exact.jpg").write_bytes(b"no image"), r"exact\.jpg cannot be decoded"),
        (lambda folder: (folder / "exact.jpg").unlink(), r"cannot read the golden .*exact\.jpg"),
        (lambda folder: (folder / "answers.npz").write_bytes(b"PK"), r"answers\.npz are damaged"),
        (lambda folder: (folder / "reference.npz").unlink(), r"cannot read the goldens' answers"),
    ],
)
def test_goldens_that_cannot_be_read(
    exported: Exported, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = Path(shutil.copytree(exported.artifact.folder / "goldens", tmp_path / "goldens"))
    damage(folder)
    with pytest.raises(InvalidInput, match=message):
        read_goldens(folder)
