"""From the bytes of an image file to the pixels a network takes: the only implementation, in training, proof,
server and client.

It needs numpy and Pillow alone, because the server's backend for image files runs a copy of this very file.
"""

import base64
import binascii
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 50_000_000  # refused before decoding; 150 MB as RGB
MAX_SIDE = 32_768  # pixels; likewise: each row costs a decoder memory of its own
MAX_ASPECT = 1000  # of the longer side to the shorter
MAX_SCANS = 50  # of a JPEG file: each goes over all pixels; progressive files have about ten
MAX_PIECES = 50_000  # PNG chunks, or JPEG segments before the pixels: Pillow reads them one by one
FORMATS = ("JPEG", "PNG", "WEBP")
DATA_URI = re.compile(rb"data:image/[\w.+-]+;base64,")
MAX_DATA_URI = 16 * 2**20  # letters: a file of 12 MiB
PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
UPRIGHT = {  # what undoes each EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class BadImage(ValueError):
    """Bytes that are not an image we serve, or an image outside the network's sizes."""


def decode(encoded: bytes) -> Pixels:
    """Decode a JPEG, PNG or WebP file to RGB pixels, upright, uint8 of shape (H, W, 3).

    Raises:
        BadImage: as of `open_image` and `rgb_pixels`.
    """
    with open_image(encoded) as image:
        return rgb_pixels(image)


def file_in(sent: bytes) -> bytes:
    """The image file in a request: the bytes that were sent, or what they hold as a data URI (RFC
    2397), since JSON cannot hold a file's bytes. No image begins as one does.

    Raises:
        BadImage: a data URI that is not base64 of an image, or longer than MAX_DATA_URI.
    """
    if not sent.startswith(b"data:"):
        return sent
    if len(sent) > MAX_DATA_URI:
        raise BadImage(
            f"the data URI has {len(sent)} letters, more than {MAX_DATA_URI}; send the file's own bytes"
        )
    head = DATA_URI.match(sent)
    if head is None:
        raise BadImage("the data URI does not begin with data:image/<kind>;base64, as it must")
    try:
        return base64.b64decode(sent[head.end() :], validate=True)
    except binascii.Error as error:
        raise BadImage(
            f"the data URI is not base64 ({error}); write it without line breaks, and with its padding"
        ) from None


def open_image(encoded: bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Read the header of an image file of one of the formats; no pixel is decoded.

    Raises:
        BadImage: empty, not such a file, larger than `check_size` allows, or in more pieces than files have.
    """
    if not encoded:
        raise BadImage("the image is empty (0 bytes); send a whole JPEG, PNG or WebP file")
    _check_pieces(encoded)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is the stricter rule
            image = Image.open(io.BytesIO(encoded), formats=formats)
    except UnidentifiedImageError:
        raise BadImage(
            f"the {len(encoded)} bytes are not a JPEG, PNG or WebP image; convert it to one of these"
        ) from None
    except Image.DecompressionBombError:
        raise BadImage(f"the image has more than {MAX_PIXELS} pixels; shrink it first") from None
    except Exception as error:  # Pillow's header parsers raise whatever they stumble over
        raise BadImage(f"the image header is damaged ({error}); send the whole file") from None
    check_size(image.height, image.width)
    return image


def _check_pieces(encoded: bytes) -> None:
    """Refuse a file that costs time out of all proportion to its size."""
    walk = _png_chunks if encoded.startswith(PNG_START) else _jpeg_segments
    pieces = [*islice(walk(encoded), MAX_PIECES + 1)]
    if len(pieces) > MAX_PIECES:
        raise BadImage(f"the image is in more than {MAX_PIECES} pieces; save it again")
    if encoded.startswith(JPEG_START) and not _is_one_scan(encoded, pieces):
        scans = encoded.count(b"\xff\xda")
        if scans > MAX_SCANS:
            raise BadImage(f"the image has {scans} scans, more than {MAX_SCANS}; save it again")


def _png_chunks(encoded: bytes) -> Iterator[int]:
    """Where each chunk of a PNG file begins."""
    place = len(PNG_START)
    while place + 8 <= len(encoded):
        yield place
        place += 12 + int.from_bytes(encoded[place : place + 4], "big")


def _jpeg_segments(encoded: bytes) -> Iterator[int]:
    """Where each segment of a JPEG file begins, up to its first scan."""
    place, kind = 0, b""
    while encoded[place : place + 1] == b"\xff" and kind != b"\xda":
        yield place
        kind = encoded[place + 1 : place + 2]
        if kind == b"\xff":  # filling
            place += 1
        elif kind <= b"\x01" or b"\xd0" <= kind <= b"\xd9":  # without a length
            place += 2
        else:
            place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")


def _is_one_scan(encoded: bytes, segments: Sequence[int]) -> bool:
    """Whether a JPEG file is sequential and its first scan holds all components: then no other is read."""
    frames = [place for place in segments if encoded[place + 1 : place + 2] in (b"\xc0", b"\xc1")]
    components = {encoded[place + 9 : place + 10] for place in frames}
    return components == {encoded[segments[-1] + 4 : segments[-1] + 5]}


def check_size(height: int, width: int) -> None:
    """Refuse an image of no pixels, of more than MAX_PIXELS, or longer or narrower than a picture is.

    Raises:
        BadImage: with the size.
    """
    if not height * width:
        raise BadImage(f"the image has no pixels: it is {width} x {height}")
    if height * width > MAX_PIXELS:
        raise BadImage(f"the image has {width} x {height} pixels, more than {MAX_PIXELS}; shrink it first")
    shorter, longer = sorted((height, width))
    if longer > MAX_SIDE:
        raise BadImage(
            f"the image is {width} x {height}, and {MAX_SIDE} pixels on a side are the most; cut or shrink it"
        )
    if longer > MAX_ASPECT * shorter:
        raise BadImage(
            f"the image is {width} x {height}, more than {MAX_ASPECT} times as long as it is narrow; cut it"
        )


def decode_and_fit(
    encoded: bytes,
    *,
    resize: str,
    height: int,
    width: int,
    interpolation: str,
    crop: float,
    channels: int = 3,
) -> Pixels:
    """What `fit` makes of what `decode` gives, without the copies between the two; read-only.

    Raises:
        BadImage: as of `open_image` and `rgb_pixels`.
    """
    return fit_image(decode_image(encoded), channels, resize, height, width, interpolation, crop)


def decode_image(encoded: bytes) -> Image.Image:
    """What `decode` gives, as an image of Pillow's: the first half of `decode_and_fit`.

    Raises:
        BadImage: as of `open_image` and `rgb_pixels`.
    """
    with open_image(encoded) as opened:
        return _upright(opened)


def rgb_pixels(image: Image.Image) -> Pixels:
    """The pixels of an opened image as RGB, upright, uint8 (H, W, 3).

    EXIF rotation is applied; palettes, grey, CMYK and 16-bit grey are converted; transparency is laid over
    white.

    Raises:
        BadImage: truncated or damaged, or its pixels have no range that is known.
    """
    return np.array(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """What `rgb_pixels` gives, as an image."""
    _check_depth(image)
    try:
        image.load()
        pixels = _to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        raise BadImage(f"the image is damaged ({error}); send the whole file") from None
    return turned(pixels, orientation(image))


def _check_depth(image: Image.Image) -> None:
    """Refuse pixels whose black and white are not known, as arrays are refused that are not uint8."""
    deep = image.mode in ("F", "I") or (image.mode.startswith("I;16") and image.format == "TIFF")
    if deep:
        raise BadImage(
            f"pixels of mode {image.mode!r} do not say which value is white; convert them to 8 bits first: "
            "Image.fromarray((x * 255).round().astype('uint8')) for x from 0 to 1"
        )


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """An image made upright, by the EXIF orientation of its file."""
    turn = UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. A damaged EXIF block does not spoil the pixels: it says 1, upright."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # Pillow's EXIF parser meets any bytes, and raises what they lead to
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        wide = np.asarray(image, dtype=np.uint32)
        grey = np.clip(wide >> 8, 0, 255).astype(np.uint8)
        key = image.info.get("transparency")  # the one grey value that is transparent
        if isinstance(key, int):
            grey[wide == key] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy


def fit(
    pixels: Pixels,
    *,
    resize: str,
    height: int,
    width: int,
    interpolation: str,
    crop: float,
    channels: int = 3,
) -> Pixels:
    """Bring RGB pixels (H, W, 3) to what a network takes, (height, width, channels), as its Card says.

    resize: "stretch" to height x width; "center_crop" scales the image so that the crop of height x width
        covers the fraction `crop` of its shorter side, and cuts the crop from the centre; "none" leaves the
        size alone.
    channels: 3 for RGB; 1 for its grey, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), taken before resizing.
    """
    rows, columns = pixels.shape[:2]
    if channels == 3 and _fits(rows, columns, resize, height, width, crop):
        return pixels
    return fit_image(Image.fromarray(pixels), channels, resize, height, width, interpolation, crop)


def fit_image(
    image: Image.Image, channels: int, resize: str, height: int, width: int, interpolation: str, crop: float
) -> Pixels:
    """What `fit` makes of an RGB image of Pillow's: the second half of `decode_and_fit`; read-only."""
    if channels == 1:
        image = image.convert("L")
    if not _fits(image.height, image.width, resize, height, width, crop):
        image = _resized(image, resize, height, width, interpolation, crop)
    pixels = np.asarray(image)
    return pixels if channels == 3 else pixels[..., None]


def _fits(rows: int, columns: int, resize: str, height: int, width: int, crop: float) -> bool:
    return resize == "none" or ((rows, columns) == (height, width) and (resize == "stretch" or crop == 1))


def _resized(
    image: Image.Image, resize: str, height: int, width: int, interpolation: str, crop: float
) -> Image.Image:
    box = seen(image.height, image.width, resize=resize, height=height, width=width, crop=crop)
    # only what is seen is ever scaled: the whole of a very narrow image could fill the memory
    return image.resize((width, height), INTERPOLATIONS[interpolation], box=box)


def seen(
    rows: int, columns: int, *, resize: str, height: int, width: int, crop: float
) -> tuple[float, float, float, float]:
    """What part of an image of rows x columns `fit` gives to the network: left, top, right and bottom, in
    pixels of the image.
    """
    if resize != "center_crop":
        return 0, 0, columns, rows
    scale = max(height / rows, width / columns) / crop
    scaled = max(width, round(columns * scale)), max(height, round(rows * scale))
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    across, down = columns / scaled[0], rows / scaled[1]
    return left * across, top * down, (left + width) * across, (top + height) * down
