"""From bytes to pixels: every kind of file, every kind of damage, and the fit policies against their
definition.
"""

import ast
import base64
import io
import math
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from regard.contract import preprocess
from regard.contract.preprocess import (
    MAX_DATA_URI,
    MAX_PIXELS,
    BadImage,
    Pixels,
    decode,
    decode_and_fit,
    file_in,
    fit,
)

BOUNDED = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def picture(rows: int = 12, columns: int = 16) -> Pixels:
    """A picture that is smooth enough for JPEG and looks different from every side."""
    i, j = np.mgrid[0:rows, 0:columns]
    return np.stack(
        [
            i * 255 // max(1, rows - 1),
            j * 255 // max(1, columns - 1),
            np.where(i * columns > j * rows, 200, 40),
        ],
        axis=2,
    ).astype(np.uint8)


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(columns: int, rows: int, depth: int, colour: int, lines: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(extra)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A little-endian EXIF block of one directory: (tag, type, count, four bytes of value)."""
    packed = b"".join(
        struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries)
    )
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", 0)


def orientation(value: int) -> tuple[int, int, int, bytes]:
    return 0x0112, 3, 1, struct.pack("<HH", value, 0)


# Files of every kind


@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 100, "subsampling": 0}, 6)],
)
def test_formats(form: str, options: dict, tolerance: int) -> None:
    i, j = np.mgrid[0:24, 0:32]
    smooth = np.stack([i * 8, j * 7, 200 - i - j], axis=2).astype(np.uint8)
    pixels = decode(encode(Image.fromarray(smooth), form, **options))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (24, 32, 3)
    assert np.abs(pixels.astype(int) - smooth).max() <= tolerance


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_one_pixel(form: str) -> None:
    assert decode(encode(Image.new("RGB", (1, 1), (255, 255, 255)), form)).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused(form: str) -> None:
    with pytest.raises(BadImage, match="not a JPEG, PNG or WebP image; convert it"):
        decode(encode(Image.fromarray(picture(16, 16)), form))


def test_a_file_is_sent_as_it_is_or_as_a_data_uri() -> None:
    file = bytes(range(256))
    assert file_in(file) == file
    for kind in (b"png", b"jpeg", b"svg+xml"):
        assert file_in(b"data:image/" + kind + b";base64," + base64.b64encode(file)) == file


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"data:text/plain;base64,AAAA", "does not begin with data:image/"),
        (b"data:image/png,AAAA", "does not begin with data:image/"),
        (b"data:image/png;base64,AAAAA", "is not base64"),
        (b"data:image/png;base64,AAA", "is not base64"),
        (b"data:image/png;base64,AA\nAA", "is not base64"),
        (b"data:image/png;base64,AA-_", "is not base64"),
        (b"data:image/png;base64," + b"A" * MAX_DATA_URI, f"letters, more than {MAX_DATA_URI}"),
    ],
    ids=range(7),
)
def test_a_data_uri_that_holds_no_file(sent: bytes, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        file_in(sent)


def test_grey() -> None:
    grey = picture()[:, :, 0]
    for form in ("PNG", "JPEG"):
        pixels = decode(encode(Image.fromarray(grey), form))
        assert (pixels == pixels[:, :, :1]).all()
        assert np.abs(pixels[:, :, 0].astype(int) - grey).max() <= (0 if form == "PNG" else 12)


def test_black_and_white() -> None:
    pixels = decode(encode(Image.fromarray(picture()[:, :, 0] > 100), "PNG"))
    assert (pixels == np.where(picture()[:, :, :1] > 100, 255, 0)).all()


def test_16_bit_grey_keeps_its_range() -> None:
    values = np.array([[0, 257, 1000, 0x8000], [40000, 65535, 65278, 255]], dtype=">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in values)
    pixels = decode(png(4, 2, 16, 0, lines))
    assert np.abs(pixels.astype(float) - values[:, :, None] / 257).max() <= 1
    assert pixels[1, 1].tolist() == [255, 255, 255]


def test_16_bit_colour_keeps_its_range() -> None:
    values = np.array([[[0, 65535, 257], [1000, 40000, 0x8000]]], dtype=">u2")
    pixels = decode(png(2, 1, 16, 2, b"\0" + values.tobytes()))
    assert np.abs(pixels.astype(float) - values / 257).max() <= 1


def test_palette() -> None:
    paletted = Image.fromarray(picture()).quantize(8)
    assert (decode(encode(paletted, "PNG")) == np.asarray(paletted.convert("RGB"))).all()


def test_cmyk() -> None:
    flat = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # full magenta and yellow: red
    red, green, blue = decode(encode(flat, "JPEG", quality=100))[4, 4].tolist()
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparency_is_laid_over_white(form: str) -> None:
    image = np.zeros((2, 3, 4), np.uint8)
    image[:, 0] = (10, 20, 30, 255)
    image[:, 1] = (10, 20, 30, 0)
    image[:, 2] = (0, 0, 0, 128)
    pixels = decode(
        encode(Image.fromarray(image), form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    )
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[0, 1].tolist() == [255, 255, 255]
    assert np.abs(pixels[0, 2].astype(int) - 127).max() <= 1


def test_transparent_palette_is_laid_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.putpixel((1, 0), 1)
    assert decode(encode(image, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [200, 10, 10]]]


def test_transparent_grey_is_laid_over_white() -> None:
    image = np.array([[[0, 0], [50, 255]]], np.uint8)
    assert decode(encode(Image.fromarray(image, "LA"), "PNG")).tolist() == [[[255, 255, 255], [50, 50, 50]]]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_grey_value_is_laid_over_white(depth: int) -> None:
    """The tRNS chunk of a grey PNG names the one value that is transparent."""
    scale = 257 if depth == 16 else 1
    code = ">H" if depth == 16 else ">B"
    lines = b"\0" + struct.pack(code, 3 * scale) + struct.pack(code, 100 * scale)
    encoded = png(2, 1, depth, 0, lines, chunk(b"tRNS", struct.pack(">H", 3 * scale)))
    assert decode(encoded).tolist() == [[[255, 255, 255], [100, 100, 100]]]


UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),  # a quarter turn clockwise
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("value", UPRIGHT)
def test_exif_rotation(value: int, form: str) -> None:
    stored = picture()
    lossless = {"WEBP": {"lossless": True}}.get(form, {})
    pixels = decode(encode(Image.fromarray(stored), form, exif=exif(orientation(value)), **lossless))
    plain = decode(encode(Image.fromarray(stored), form, **lossless))
    assert (pixels == UPRIGHT[value](plain)).all()


@pytest.mark.parametrize("value", [0, 9, 0xFFFF])
def test_unknown_exif_rotation_is_ignored(value: int) -> None:
    assert (
        decode(encode(Image.fromarray(picture()), "PNG", exif=exif(orientation(value)))) == picture()
    ).all()


ODD_TAGS = {  # what cameras and editors get wrong: a known tag in a type that it should not have
    "maker is a number": (0x010F, 5, 1, b"\x08\0\0\0"),
    "maker is a float": (0x010F, 11, 1, b"\0\0\0\0"),
    "resolution is text": (0x011A, 2, 2, b"7\0\0\0"),
    "resolution is negative": (0x011A, 9, 1, b"\xff\xff\xff\xff"),
    "resolution is NaN": (0x011A, 11, 1, b"\xff\xff\xff\xff"),
    "unit is bytes": (0x0128, 1, 1, b"\x02\0\0\0"),
    "unit is too large": (0x0128, 4, 1, b"\xff\xff\xff\xff"),
    "directory outside": (0x8769, 9, 1, b"\xff\xff\xff\xff"),
    "directory in itself": (0x8769, 4, 1, b"\x08\0\0\0"),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("tag", ODD_TAGS.values(), ids=ODD_TAGS.keys())
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of the damaged block
def test_whole_pixels_with_odd_exif_are_served(tag: tuple[int, int, int, bytes], form: str) -> None:
    """Metadata that cannot be understood is no reason to refuse a photograph, still less to crash; the
    rotation is still applied.
    """
    encoded = encode(Image.fromarray(picture()), form, exif=exif(orientation(6), tag))
    assert decode(encoded).shape == (16, 12, 3)


# Damage


def test_empty() -> None:
    with pytest.raises(BadImage, match="empty.*0 bytes"):
        decode(b"")


@pytest.mark.parametrize(
    "junk",
    [
        b"\0",
        b"hello",
        b"<html></html>",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBP",
        bytes(10_000),
    ],
)
def test_not_an_image(junk: bytes) -> None:
    with pytest.raises(BadImage):
        decode(junk)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_truncated_anywhere(form: str) -> None:
    whole = encode(Image.fromarray(picture(40, 50)), form)
    needed = len(whole) - {"PNG": 12, "JPEG": 2, "WEBP": 0}[form]  # the end marker holds no pixels
    for length in range(1, needed - 8, 7):
        with pytest.raises(BadImage):
            decode(whole[:length])


def test_the_reason_is_told() -> None:
    with pytest.raises(BadImage, match=r"damaged.*send the whole file"):
        decode(encode(Image.fromarray(picture(40, 50)), "JPEG")[:-100])


def seeds() -> list[bytes]:
    image = Image.fromarray(picture())
    metadata = exif(
        orientation(6),
        (0x010F, 2, 2, b"m\0\0\0"),
        (0x0128, 3, 1, b"\x02\0\0\0"),
        (0x011A, 5, 1, b"\x08\0\0\0"),
    )
    second = Image.fromarray(picture()[::-1])
    return [
        encode(image, "JPEG", exif=metadata),
        encode(image, "JPEG", progressive=True, icc_profile=b"icc" * 20),
        encode(image.convert("CMYK"), "JPEG"),
        encode(image, "MPO", save_all=True, append_images=[second]),
        encode(image, "PNG", exif=metadata),
        encode(image.quantize(4), "PNG", transparency=1),
        encode(image, "PNG", save_all=True, append_images=[second]),
        encode(image, "WEBP", exif=metadata),
        encode(image, "WEBP", lossless=True),
        encode(image, "WEBP", save_all=True, append_images=[second]),
    ]


SEEDS = seeds()


def survives(encoded: bytes) -> None:
    """Pixels or BadImage, nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about damaged metadata
        try:
            pixels = decode(encoded)
        except BadImage:
            return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


@BOUNDED
@given(st.binary(max_size=200))
def test_random_bytes(encoded: bytes) -> None:
    survives(encoded)


@BOUNDED
@given(st.sampled_from([seed[:12] for seed in SEEDS]), st.binary(max_size=200))
def test_random_bytes_after_a_true_start(start: bytes, rest: bytes) -> None:
    survives(start + rest)


@pytest.mark.parametrize(
    "seed",
    SEEDS,
    ids=["jpeg", "progressive", "cmyk", "mpo", "png", "palette", "apng", "webp", "lossless", "animated"],
)
def test_mutated_files(seed: bytes) -> None:
    """A few bytes changed, inserted or removed anywhere, most of them in the headers; PNG checksums made
    right again half of the time.
    """

    @BOUNDED
    @given(
        st.lists(
            st.tuples(st.integers(0, min(len(seed), 250)), st.binary(max_size=3), st.integers(0, 3)),
            min_size=1,
            max_size=5,
        ),
        st.integers(0, len(seed) - 1),
        st.booleans(),
    )
    def mutate(edits: list[tuple[int, bytes, int]], far: int, repair: bool) -> None:
        mutated = bytearray(seed)
        mutated[far] ^= 1
        for place, new, removed in edits:
            mutated[place : place + removed] = new
        survives(repaired(bytes(mutated)) if repair else bytes(mutated))

    mutate()


@pytest.mark.parametrize("seed", [0, 4, 7], ids=["jpeg", "png", "webp"])
def test_every_byte_of_the_metadata(seed: int) -> None:
    """Each byte of the EXIF block set to a few values in turn."""
    whole = SEEDS[seed]
    start = whole.index(b"II*\0")
    for place in range(start, start + 62):
        for value in (0, 1, 2, 7, 9, 11, 255):
            survives(repaired(whole[:place] + bytes([value]) + whole[place + 1 :]))


def repaired(encoded: bytes) -> bytes:
    """A PNG with right checksums, so that the damage reaches the decoder; anything else as it is."""
    if not encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return encoded
    result, place = encoded[:8], 8
    while place + 12 <= len(encoded):
        (length,) = struct.unpack(">I", encoded[place : place + 4])
        if place + 12 + length > len(encoded):
            break
        result += chunk(encoded[place + 4 : place + 8], encoded[place + 8 : place + 8 + length])
        place += 12 + length
    return result + encoded[place:]


# Bombs


def bomb_png(columns: int, rows: int) -> bytes:
    """Small bytes that announce many pixels."""
    return png(columns, rows, 8, 2, bytes(1000))


def bomb_jpeg(columns: int, rows: int) -> bytes:
    whole = bytearray(encode(Image.new("RGB", (8, 8)), "JPEG"))
    start = whole.index(b"\xff\xc0") + 5
    whole[start : start + 4] = struct.pack(">HH", rows, columns)
    return bytes(whole)


def bomb_webp(columns: int, rows: int) -> bytes:
    still = encode(Image.new("RGB", (4, 4)), "WEBP", lossless=True)[12:]
    frame = bytes(6) + struct.pack("<I", 3)[:3] + struct.pack("<I", 3)[:3] + bytes([100, 0, 0, 0]) + still
    size = struct.pack("<I", columns - 1)[:3] + struct.pack("<I", rows - 1)[:3]
    body = (
        b"WEBPVP8X"
        + struct.pack("<I", 10)
        + bytes([2, 0, 0, 0])
        + size
        + b"ANIM"
        + struct.pack("<I", 6)
        + bytes(6)
    )
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "encoded",
    [
        bomb_png(30_000, 30_000),
        bomb_png(2**31 - 1, 2**31 - 1),
        bomb_png(50_000_001, 1),
        bomb_png(8000, 6251),
        bomb_jpeg(65_000, 65_000),
        bomb_webp(16_384, 16_384),
    ],
    ids=["png 30000", "png 2^31", "png long", "png just", "jpeg", "webp"],
)
def test_bombs_are_refused(encoded: bytes) -> None:
    assert len(encoded) < 3000
    with pytest.raises(BadImage, match=f"more than {MAX_PIXELS}.*shrink it first"):
        decode(encoded)


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (1, 50_000_000, "1 x 50000000, and 32768 pixels on a side"),  # 189 kB took 1.5 GB and 7.5 s
        (40_000, 1000, "40000 x 1000, and 32768"),
        (3, 3001, "3 x 3001, more than 1000 times"),
        (20_000, 2, "20000 x 2, more than 1000 times"),
    ],
)
@pytest.mark.parametrize("make", [bomb_png, bomb_jpeg])
def test_strips_are_refused(make: Callable[[int, int], bytes], columns: int, rows: int, words: str) -> None:
    if make is bomb_jpeg and rows > 65_535:
        return  # that format has no such sides
    with pytest.raises(BadImage, match=words):
        decode(make(columns, rows))


def test_a_long_picture_is_decoded() -> None:
    assert decode(encode(Image.new("RGB", (2000, 2)), "PNG")).shape == (2, 2000, 3)


def test_scans_without_end_are_refused() -> None:
    """With 400 scans more, 319 kB of 7000 x 7000 pixels took 22 s."""
    whole = encode(Image.fromarray(picture()), "JPEG", progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    assert decode(whole[:-2] + 10 * scan + whole[-2:]).shape == (12, 16, 3)
    with pytest.raises(BadImage, match=r"has \d+ scans, more than 50; save it again"):
        decode(whole[:-2] + 50 * scan + whole[-2:])


def test_only_a_file_of_many_scans_is_searched_for_them() -> None:
    """To search all files would cost them a tenth of their decoding."""
    for options, one in (({}, True), ({"progressive": True}, False)):
        whole = encode(Image.fromarray(picture()), "JPEG", **options)
        segments = [*preprocess._jpeg_segments(whole)]
        assert whole[segments[-1] :].startswith(b"\xff\xda")
        assert preprocess._is_one_scan(whole, segments) is one
    partial = bytearray(encode(Image.fromarray(picture()), "JPEG"))
    partial[[*preprocess._jpeg_segments(bytes(partial))][-1] + 4] = 1  # a component at a time
    with pytest.raises(BadImage, match="scans"):
        decode(bytes(partial) + b"\xff\xda" * 50)


def test_pieces_without_end_are_refused() -> None:
    """24 MB of empty chunks took 12 s."""
    lines, empty = bytes(4), chunk(b"aaAa", b"")
    assert decode(png(1, 1, 8, 2, lines, empty * 1000)).shape == (1, 1, 3)
    with pytest.raises(BadImage, match="in more than 50000 pieces"):
        decode(png(1, 1, 8, 2, lines, empty * 50_000))
    jpeg = encode(Image.new("RGB", (8, 8)), "JPEG")
    assert decode(jpeg[:2] + b"\xff\xeb\0\2" * 1000 + jpeg[2:]).shape == (8, 8, 3)
    for segment in (b"\xff\xeb\0\2", b"\xff"):
        with pytest.raises(BadImage, match="in more than 50000 pieces"):
            decode(jpeg[:2] + segment * 50_000 + jpeg[2:])


def test_the_bombs_are_images_when_small() -> None:
    for make in (bomb_jpeg, bomb_webp):
        assert decode(make(8, 8)).shape == (8, 8, 3)


PEAK = """
import sys
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from regard.contract.preprocess import BadImage, decode
try:
    decode(bytes.fromhex(sys.argv[2]))  # load everything once
except BadImage:
    pass
before = peak()
try:
    decode(bytes.fromhex(sys.argv[1]))
except BadImage:
    print(peak() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which Linux has"
)
@pytest.mark.parametrize("make", [bomb_png, bomb_jpeg, bomb_webp])
def test_bombs_take_no_memory(make: Callable[[int, int], bytes]) -> None:
    arguments = [make(16_000, 16_000).hex(), make(8, 8).hex()]
    result = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(result.stdout) < 8 * 1024  # kilobytes; decoded it would be 768 MB


STRIP = """
import io, resource, sys
import numpy as np
from PIL import Image
from regard.contract.preprocess import BadImage, decode, fit
size = tuple(map(int, sys.argv[1].split("x")))
encoded = io.BytesIO()
Image.new("RGB", size).save(encoded, "PNG")
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (512 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    pixels = decode(encoded.getvalue())
    print(fit(pixels, resize=sys.argv[2], height=224, width=224, interpolation="bilinear", crop=0.875).shape)
except BadImage:
    print("BadImage")
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which Linux has"
)
@pytest.mark.parametrize("resize", ["center_crop", "stretch"])
@pytest.mark.parametrize("size", ["65000x1", "1x65000", "20000x2"])
def test_a_strip_is_no_bomb(size: str, resize: str) -> None:
    """A file of a few hundred bytes, far below MAX_PIXELS, must not need gigabytes to be brought to 224 x
    224.
    """
    result = subprocess.run(
        [sys.executable, "-c", STRIP, size, resize], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.strip() in ("(224, 224, 3)", "BadImage"), result.stderr[-300:]


# Fitting


def kernel(name: str, t: float) -> float:
    t = abs(t)
    if name == "bilinear":
        return max(0.0, 1 - t)
    a = -0.5
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def naive_resize(line: np.ndarray, size: int, name: str) -> np.ndarray:
    """Resample axis 0 with the kernel widened when shrinking (antialiasing), in float64."""
    scale = len(line) / size
    stretch = max(1.0, scale)
    reach = {"bilinear": 1, "bicubic": 2}[name] * stretch
    out = np.empty((size, *line.shape[1:]))
    for i in range(size):
        centre = (i + 0.5) * scale
        taps = range(max(0, math.floor(centre - reach)), min(len(line), math.ceil(centre + reach) + 1))
        weights = np.array([kernel(name, (j + 0.5 - centre) / stretch) for j in taps])
        out[i] = np.tensordot(weights / weights.sum(), line[list(taps)], axes=1)
    return out


def naive_stretch(pixels: Pixels, height: int, width: int, name: str, rows_first: bool) -> np.ndarray:
    """Both axes in turn, clipped to bytes in between: where bicubic overshoots, the order shows, and either
    is right.
    """

    def across(image: np.ndarray) -> np.ndarray:
        return np.clip(naive_resize(image.transpose(1, 0, 2), width, name).transpose(1, 0, 2), 0, 255)

    def down(image: np.ndarray) -> np.ndarray:
        return np.clip(naive_resize(image, height, name), 0, 255)

    whole = pixels.astype(float)
    return across(down(whole)) if rows_first else down(across(whole))


def noise(rows: int, columns: int) -> Pixels:
    return np.random.default_rng(rows * 1000 + columns).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((13, 17), (13, 17)),
        ((13, 17), (28, 28)),
        ((40, 31), (12, 9)),
        ((9, 30), (20, 10)),
        ((1, 1), (5, 4)),
        ((7, 5), (1, 1)),
    ],
)
def test_stretch(size: tuple[int, int], target: tuple[int, int], interpolation: str) -> None:
    pixels = noise(*size)
    fitted = fit(
        pixels, resize="stretch", height=target[0], width=target[1], interpolation=interpolation, crop=1.0
    )
    assert fitted.shape == (*target, 3)
    assert fitted.dtype == np.uint8
    errors = [
        np.abs(fitted - naive_stretch(pixels, *target, interpolation, order)).max() for order in (False, True)
    ]
    assert min(errors) <= 1.6  # two roundings


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "target", "crop"),
    [
        ((64, 64), (32, 32), 1.0),
        ((64, 128), (32, 32), 1.0),
        ((128, 64), (32, 32), 0.5),
        ((64, 64), (56, 56), 0.875),
        ((40, 60), (20, 30), 0.5),
        ((60, 20), (24, 24), 0.8),
    ],
)
def test_center_crop_at_exact_scales(
    size: tuple[int, int], target: tuple[int, int], crop: float, interpolation: str
) -> None:
    """Scale so that the crop covers `crop` of the side that limits it, then cut the centre; sizes at which
    nothing is rounded.
    """
    pixels = noise(*size)
    scale = max(target[0] / size[0], target[1] / size[1]) / crop
    rows, columns = (round(side * scale, 9) for side in size)
    assert (rows, columns) == (int(rows), int(columns))
    top, left = (int(rows) - target[0]) // 2, (int(columns) - target[1]) // 2
    fitted = fit(
        pixels,
        resize="center_crop",
        height=target[0],
        width=target[1],
        interpolation=interpolation,
        crop=crop,
    )
    wholes = [naive_stretch(pixels, int(rows), int(columns), interpolation, order) for order in (False, True)]
    assert (
        min(np.abs(fitted - whole[top : top + target[0], left : left + target[1]]).max() for whole in wholes)
        <= 1.6
    )


@pytest.mark.parametrize("crop", [1.0, 0.875, 0.5])
@pytest.mark.parametrize("target", [(32, 32), (28, 40), (33, 17)])
@pytest.mark.parametrize("size", [(50, 70), (97, 61), (201, 200), (30, 31), (3, 90)])
def test_center_crop_looks_at_the_centre(size: tuple[int, int], target: tuple[int, int], crop: float) -> None:
    """On a ramp, each fitted pixel says where it came from: the centre, at the scale that the policy states,
    to a pixel of the result.
    """
    rows, columns = size
    i, j = np.mgrid[0:rows, 0:columns]
    ramp = np.stack([i * 255 / (rows - 1), j * 255 / (columns - 1), 0 * i], axis=2).round().astype(np.uint8)
    fitted = fit(
        ramp, resize="center_crop", height=target[0], width=target[1], interpolation="bilinear", crop=crop
    )
    assert fitted.shape == (*target, 3)
    scale = max(target[0] / rows, target[1] / columns) / crop
    for axis, (source, length) in enumerate(zip(size, target, strict=True)):
        place = source / 2 + (np.arange(length) + 0.5 - length / 2) / scale - 0.5
        expected = np.clip(place, 0, source - 1) * 255 / (source - 1)
        line = fitted[:, 0, 0] if axis == 0 else fitted[0, :, 1]
        assert np.abs(line - expected).max() <= (1.0 / scale + 0.5) * 255 / (source - 1) + 1


def test_none_leaves_the_pixels_alone() -> None:
    pixels = noise(5, 9)
    assert fit(pixels, resize="none", height=1, width=1, interpolation="bilinear", crop=0.5) is pixels


@pytest.mark.parametrize("resize", ["stretch", "center_crop"])
def test_a_fitting_image_is_not_touched(resize: str) -> None:
    pixels = noise(24, 32)
    assert (
        fit(pixels, resize=resize, height=24, width=32, interpolation="bicubic", crop=1.0) == pixels
    ).all()


def test_a_crop_is_cut_even_from_a_fitting_image() -> None:
    pixels = noise(32, 32)
    assert not (
        fit(pixels, resize="center_crop", height=32, width=32, interpolation="bilinear", crop=0.5) == pixels
    ).all()


@BOUNDED
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 24),
    st.integers(1, 24),
    st.floats(0.05, 1),
    st.sampled_from(["stretch", "center_crop"]),
)
def test_fit_always_gives_the_size(
    rows: int, columns: int, height: int, width: int, crop: float, resize: str
) -> None:
    flat = np.full((rows, columns, 3), 77, np.uint8)
    fitted = fit(flat, resize=resize, height=height, width=width, interpolation="bicubic", crop=crop)
    assert fitted.shape == (height, width, 3)
    assert (fitted == 77).all()


def in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(picture(45, 60)[:, :, 0].astype(np.uint16) * 257)
    return Image.fromarray(picture(45, 60)).convert(mode)


def odd_files() -> dict[str, bytes]:
    """Files of every mode, kind and orientation, a transparent colour among them."""
    files = {
        f"{form} {mode}": encode(in_mode(mode), form)
        for form, modes in {
            "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
            "JPEG": ("RGB", "L", "CMYK"),
            "WEBP": ("RGB", "RGBA"),
        }.items()
        for mode in modes
    }
    for value in UPRIGHT:
        files[f"turned {value}"] = encode(
            Image.fromarray(picture(45, 60)), "JPEG", exif=exif(orientation(value))
        )
    files["a transparent colour"] = encode(Image.fromarray(picture(45, 60)), "PNG", transparency=(0, 0, 40))
    files["progressive"] = encode(Image.fromarray(picture(45, 60)), "JPEG", progressive=True)
    return files


def converted_always(encoded: bytes) -> Pixels:
    """The pixels of an upright opaque file by way of Pillow's own conversion, whatever its mode."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.array(image.convert("RGB"))


@pytest.mark.parametrize("form", ["PNG RGB", "PNG L", "PNG P", "PNG 1", "JPEG RGB", "JPEG CMYK", "WEBP RGB"])
def test_what_is_rgb_already_needs_no_conversion(form: str) -> None:
    encoded = odd_files()[form]
    pixels = decode(encoded)
    np.testing.assert_array_equal(pixels, converted_always(encoded))
    assert pixels.flags.writeable


@pytest.mark.parametrize("encoded", odd_files().values(), ids=odd_files().keys())
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("resize", "height", "width", "crop"),
    [
        ("none", 9, 9, 1.0),
        ("stretch", 28, 30, 1.0),
        ("stretch", 45, 60, 1.0),
        ("stretch", 60, 45, 1.0),
        ("center_crop", 24, 20, 0.875),
        ("center_crop", 45, 60, 1.0),
        ("center_crop", 45, 60, 0.5),
        ("center_crop", 90, 70, 1.0),
    ],
)
def test_decoding_and_fitting_in_one_gives_the_same_pixels(
    encoded: bytes, resize: str, height: int, width: int, crop: float, interpolation: str
) -> None:
    contract = {
        "resize": resize,
        "height": height,
        "width": width,
        "interpolation": interpolation,
        "crop": crop,
    }
    np.testing.assert_array_equal(decode_and_fit(encoded, **contract), fit(decode(encoded), **contract))


def test_decoding_and_fitting_refuses_what_decoding_does() -> None:
    whole = encode(Image.fromarray(picture()), "PNG")
    for broken in (b"", b"no image", whole[:60]):
        with pytest.raises(BadImage) as by_decode:
            decode(broken)
        with pytest.raises(BadImage) as in_one:
            decode_and_fit(broken, resize="none", height=1, width=1, interpolation="bilinear", crop=1.0)
        assert str(in_one.value) == str(by_decode.value)


def test_input_is_not_changed() -> None:
    pixels = noise(10, 10)
    kept = pixels.copy()
    fit(pixels, resize="stretch", height=5, width=5, interpolation="bilinear", crop=1.0)
    assert (pixels == kept).all()


def test_needs_numpy_and_pillow_alone() -> None:
    """A copy of the file lies beside the server's backend, where nothing else of regard is."""
    tree = ast.parse(Path(preprocess.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    allowed = set(sys.stdlib_module_names) | {"numpy", "PIL"}
    assert {name.partition(".")[0] for name in names} <= allowed
