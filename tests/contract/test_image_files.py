"""Files of other formats than a server decodes, and folders that hold them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.contract.image_files import SUFFIXES, as_served, images_in, read_pixels
from regard.contract.preprocess import BadImage, decode, rgb_pixels
from regard.errors import InvalidInput

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def frames(form: str) -> bytes:
    """A file of three images: red, green and blue."""
    images = [Image.new("RGB", (16, 12), colour) for colour in ("red", "lime", "blue")]
    return file_of(images[0], form, save_all=True, append_images=images[1:])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_what_a_server_decodes_is_left_alone(form: str) -> None:
    data = file_of(Image.fromarray(PICTURE), form)
    assert as_served(data, "x") is data


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("BMP", "RGB", {}),
        ("BMP", "L", {}),
        ("BMP", "1", {}),
        ("BMP", "P", {}),
        ("GIF", "P", {}),
        ("GIF", "L", {}),
        ("GIF", "P", {"transparency": 3}),
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "tiff_deflate"}),
        ("TIFF", "YCbCr", {"compression": "jpeg"}),
        ("TIFF", "L", {"compression": "packbits"}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "P", {}),
        ("TIFF", "RGBA", {}),
        ("TIFF", "LA", {}),
        ("TIFF", "CMYK", {}),
    ],
)
def test_other_formats_become_png_and_lose_nothing(form: str, mode: str, options: dict[str, Any]) -> None:
    data = file_of(Image.fromarray(PICTURE).convert(mode), form, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = rgb_pixels(image)
    assert expected.shape == (12, 16, 3)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(decode(as_served(data, "x")), expected)


def test_a_turned_tiff_is_made_upright_once() -> None:
    data = file_of(Image.fromarray(PICTURE), "TIFF", exif=TURNED)
    np.testing.assert_array_equal(decode(as_served(data, "x")), np.rot90(PICTURE, -1))


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_images_is_taken_and_that_is_said(form: str) -> None:
    with pytest.warns(UserWarning, match=r"many\.x holds several images; the first is taken"):
        data = as_served(frames(form), "many.x")
    assert np.abs(decode(data).astype(int) - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_tiff_of_unknown_range_is_refused(dtype: Any) -> None:
    data = file_of(Image.fromarray(PICTURE[..., 0].astype(dtype)), "TIFF")
    with pytest.raises(BadImage, match="do not say which value is white"):
        as_served(data, "x")


@pytest.mark.parametrize("form", ["BMP", "GIF", "TIFF"])
def test_a_damaged_file_is_refused(form: str) -> None:
    data = file_of(Image.fromarray(PICTURE), form)
    for end in range(1, len(data) - 40, 7):
        with pytest.raises(BadImage):
            decode(as_served(data[:end], "x"))


def test_folders_hold_images_of_every_suffix_that_is_read(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        form = "JPEG" if suffix == ".jfif" else None
        Image.fromarray(PICTURE).save(tmp_path / f"image{suffix}", format=form)
    (tmp_path / "notes.txt").write_text("no image")
    found = images_in(tmp_path)
    assert {path.suffix for path in found} == set(SUFFIXES)
    assert {read_pixels(path).shape for path in found} == {(12, 16, 3)}


def test_images_that_are_left_out_are_counted(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIC", "c.avif"):
        (tmp_path / name).touch()
    with pytest.raises(InvalidInput, match=r"no images .*but 1 \.avif, 2 \.heic"):
        images_in(tmp_path)
    Image.fromarray(PICTURE).save(tmp_path / "d.png")
    with pytest.warns(UserWarning, match=r"1 \.avif, 2 \.heic left out; convert them to PNG"):
        assert [path.name for path in images_in(tmp_path)] == ["d.png"]
