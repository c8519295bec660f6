"""Every kind of image in, and every bad one refused with its name, the rule and the next step."""

import io
from pathlib import Path

import numpy as np
import pytest
from client_fakes import bomb, half, make_card, plain, png
from PIL import Image, PngImagePlugin

from regard.contract import preprocess
from regard.errors import InvalidInput
from regard.serving.client.batches import batches
from regard.serving.client.images import Encoded, Raw, Refused, is_stream, items


def only(image):
    (item,) = items(image)
    return item


def test_paths_bytes_images_and_arrays(tmp_path):
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    file = tmp_path / "a.png"
    file.write_bytes(png(pixels))
    for image in (file, str(file), file.read_bytes(), bytearray(file.read_bytes())):
        item = only(image)
        assert isinstance(item, Encoded)
        assert (item.data, item.height, item.width) == (file.read_bytes(), 4, 5)
    for image in (pixels, Image.fromarray(pixels)):
        item = only(image)
        assert isinstance(item, Raw)
        np.testing.assert_array_equal(item.pixels, pixels)


def test_open_files(tmp_path):
    """One is an image, though an iterator of lines by its type; it is read from where it stands."""
    data = png(plain(3, 4, 5))
    (tmp_path / "a.png").write_bytes(data)
    with (tmp_path / "a.png").open("rb") as file:
        assert not is_stream(file)
        assert only(file).data == data
        assert "holds nothing from where it stands; seek(0)" in str(only(file).error)
    assert only(io.BytesIO(data)).data == data
    assert [item.data for item in items([io.BytesIO(data), io.BytesIO(data)])] == [data, data]
    assert "'rb'" in str(only(io.StringIO("text")).error)
    assert "closed file" in str(only(file).error)


def test_patterns(tmp_path):
    for name in ("b.png", "a.png", "c.jpg", "deep/d.png", "e[1].png", "e1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(plain(3)))

    def found(pattern):
        return [str(Path(item.where).relative_to(tmp_path)) for item in items(f"{tmp_path}/{pattern}")]

    assert found("[ab].png") == ["a.png", "b.png"]
    assert found("?.jpg") == ["c.jpg"]
    assert found("**/[a-d].png") == ["a.png", "b.png", "deep/d.png"]
    assert found("e[1].png") == ["e[1].png"]  # there is such a file
    assert found("[ad]*") == ["a.png"]  # without the folder
    (nothing,) = items([f"{tmp_path}/*.gif"])
    assert "*.gif: cannot read the file: No such file" in str(nothing.error)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b.png"], ids=["long", "null"])
def test_what_no_file_can_be_called(name):
    assert "cannot read the file" in str(only(name).error)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_grey_arrays_become_rgb(shape):
    item = only(np.full(shape, 7, np.uint8))
    assert item.pixels.shape == (4, 5, 3)
    assert (item.pixels == 7).all()


STEPS = np.repeat(np.array([[0, 60, 128, 255]], np.uint8), 2, axis=0)


def stepped(mode):
    """Four shades of grey in a mode of Pillow's; nothing of it is transparent."""
    grey = Image.fromarray(STEPS)
    if mode == "I;16":
        return Image.fromarray(STEPS.astype(np.uint16) * 257)
    if mode in ("PA", "RGBa", "La"):  # reached by one step more
        return grey.convert({"PA": "P", "RGBa": "RGBA", "La": "LA"}[mode]).convert(mode)
    return grey.convert(mode)


@pytest.mark.parametrize(
    "mode", ["L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "I;16", "YCbCr", "HSV"]
)
def test_images_of_every_mode_become_rgb(mode):
    image = stepped(mode)
    assert image.mode == mode
    pixels = only(image).pixels
    assert pixels.shape == (2, 4, 3)
    assert np.abs(pixels.astype(int) - STEPS[..., None]).max() <= 1


def test_black_and_white_become_rgb():
    assert only(Image.fromarray(STEPS > 100)).pixels[0, :, 0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "P"])
def test_what_is_transparent_becomes_white(mode):
    image = Image.fromarray(np.full((2, 4), 60, np.uint8)).convert("P" if mode == "PA" else mode)
    if mode == "P":
        image.info["transparency"] = image.getpixel((0, 0))
    else:
        image = image.convert(mode)
        image.putalpha(0)
    assert image.mode == mode
    assert (only(image).pixels == 255).all()


@pytest.mark.parametrize("mode", ["F", "I"])
@pytest.mark.parametrize("largest", [1, 255, 65535])
def test_pixels_without_a_known_range_are_refused_as_arrays_are(mode, largest):
    values = (STEPS / 255 * largest).astype({"F": np.float32, "I": np.int32}[mode])
    assert "do not say which value is white" in str(only(Image.fromarray(values)).error)
    assert "uint8" in str(only(values).error)


def test_a_mode_that_pillow_cannot_convert_is_refused():
    assert isinstance(only(Image.new("La", (4, 2))), Refused)


@pytest.mark.parametrize("form", ["BMP", "GIF", "TIFF"])
def test_files_that_no_server_takes_are_sent_as_png(form):
    stream = io.BytesIO()
    Image.fromarray(plain(3, 4, 9)).save(stream, format=form)
    item = only(stream.getvalue())
    assert isinstance(item, Encoded)
    assert (item.height, item.width) == (4, 9)
    assert (preprocess.decode(item.data) == 3).all()


def test_an_image_on_its_side_is_measured_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(plain(3, 4, 9)).save(stream, format="JPEG", exif=exif)
    item = only(stream.getvalue())
    assert (item.height, item.width) == (9, 4)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        assert only(image).pixels.shape == (9, 4, 3)


def behind_the_pixels(data):
    """A PNG file with its EXIF after the pixels."""
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    last = data.index(b"IEND") - 4
    return data[:start] + data[end:last] + data[start:end] + data[last:]


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("way", ["PNG", "late PNG", "XMP in PNG", "XMP in JPEG", "WEBP"])
def test_wherever_the_orientation_is_said(way):
    exif = Image.Exif()
    exif[0x0112] = 6
    image, stream, options = Image.fromarray(plain(3, 4, 9)), io.BytesIO(), {}
    if way == "XMP in PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP)
    elif way == "XMP in JPEG":
        options["xmp"] = XMP.encode()
    else:
        options["exif"] = exif
    image.save(stream, format=way.split()[-1], **options)
    data = behind_the_pixels(stream.getvalue()) if way == "late PNG" else stream.getvalue()
    item = only(data)
    assert (item.height, item.width) == preprocess.decode(data).shape[:2] == (9, 4)


def test_a_damaged_exif_block_means_upright():
    stream = io.BytesIO()
    Image.fromarray(plain(3, 4, 9)).save(stream, format="JPEG", exif=b"Exif\0\0not a TIFF header")
    item = only(stream.getvalue())
    assert isinstance(item, Encoded)
    assert (item.height, item.width) == (4, 9)


def test_looking_at_a_header_decodes_nothing(monkeypatch):
    def refuse(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    stream = io.BytesIO(png(plain(3, 4, 9)))
    assert only(stream.getvalue()).width == 9


def test_directories_are_sorted_and_hold_images_alone(tmp_path):
    for name in ("b.png", "a.PNG", "c.txt"):
        (tmp_path / name).write_bytes(png(plain(1)))
    (tmp_path / "d.png").mkdir()
    assert [Path(item.where).name for item in items(tmp_path)] == ["a.PNG", "b.png"]
    assert [Path(item.where).name for item in items([tmp_path, tmp_path / "b.png"])] == [
        "a.PNG",
        "b.png",
        "b.png",
    ]


def test_an_empty_directory_is_an_error(tmp_path):
    with pytest.raises(InvalidInput, match="no images"):
        list(items(tmp_path))


def test_iterables_are_drawn_from_lazily():
    drawn = []

    def stream():
        for index in range(3):
            drawn.append(index)
            yield plain(index)

    iterator = items(stream())
    next(iterator)
    assert drawn == [0]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a not served", "not a JPEG, PNG or WebP"),
        (png(plain(1))[:20], "not a JPEG|damaged"),
        (bomb(), "30000 x 30000|more than 50000000"),
        ("missing.png", "missing.png: cannot read the file"),
        (np.zeros((4, 4, 3), np.float32), "uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "several images as a list"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (None, "NoneType is not an image"),
        (3, "int is not an image"),
    ],
    ids=["empty", "gif", "header", "bomb", "missing", "float", "rgba", "batch", "nothing", "none", "int"],
)
def test_bad_images_are_refused_by_name(image, reason):
    (item,) = items([image])
    assert isinstance(item, Refused)
    assert isinstance(item.error, InvalidInput)
    with pytest.raises(InvalidInput, match=reason):
        raise item.error
    assert str(item.error).startswith(item.where)


def test_what_is_no_collection_of_images_is_refused():
    with pytest.raises(InvalidInput, match="got int"):
        list(items(3))


def shapes(images, card):
    return [
        (type(batch.items[0]).__name__, len(batch.items), batch.size)
        for batch in batches(items(images), card, decode=False)
    ]


def test_neighbours_share_a_request_up_to_the_largest_batch():
    assert [count for _, count, _ in shapes([plain(0)] * 9, make_card())] == [4, 4, 1]


def test_endpoints_do_not_mix():
    assert shapes([plain(0), png(plain(0)), png(plain(0)), plain(0)], make_card()) == [
        ("Raw", 1, (8, 8)),
        ("Encoded", 2, (8, 8)),
        ("Raw", 1, (8, 8)),
    ]


def test_a_refused_image_travels_alone():
    assert [kind for kind, _, _ in shapes([plain(0), b"", plain(0)], make_card())] == [
        "Raw",
        "Refused",
        "Raw",
    ]


def test_segmenters_take_one_size_per_request():
    images = [plain(0, 8, 8), plain(0, 8, 8), plain(0, 8, 12), png(plain(0, 16, 8)), png(plain(0, 16, 8))]
    assert shapes(images, make_card("segmentation")) == [
        ("Raw", 2, (8, 8)),
        ("Raw", 1, (8, 12)),
        ("Encoded", 2, (16, 8)),
    ]


def test_sizes_outside_the_card_are_refused():
    for image in (plain(0, 2, 8), png(plain(0, 8, 65))):
        ((batch,)) = batches(items(image), make_card("segmentation"), decode=False)
        assert "sides from 4 to 64" in str(batch.refused)


def test_arrays_are_fitted_by_the_card():
    (batch,) = batches(items(plain(9, 30, 50)), make_card(), decode=False)
    ((name, tensor),) = batch.tensors().items()
    assert not batch.files
    assert (name, tensor.shape, tensor.dtype) == ("image", (1, 8, 8, 3), np.uint8)


def test_encoded_images_can_be_decoded_here():
    (batch,) = batches(items(png(plain(9))), make_card(), decode=True)
    np.testing.assert_array_equal(batch.tensors()["image"], plain(9)[None])
    (batch,) = batches(items(half()), make_card(), decode=True)
    assert "damaged" in str(batch.refused)
