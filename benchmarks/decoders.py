"""Pillow beside simplejpeg, as decoders of JPEG: the same pixels, the same refusals, and the time of each.

simplejpeg is no requirement of regard; install it with `pip install simplejpeg==1.9.0`. The files are the
sample street scenes, written anew in three subsamplings, at three qualities, baseline and progressive, colour
and grey; then CMYK and odd sizes; then files cut short or damaged. docs/decisions/0024-decoder.md rests on
this.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from PIL import Image

from regard.contract.preprocess import BadImage, decode

Pixels = npt.NDArray[np.uint8]
STREET = Path(__file__).parents[1] / "models" / "sample_images" / "street"
CUTS = (0.3, 0.6, 0.9, 0.99)  # how much of a file is left


def jpeg(image: Image.Image, **options: object) -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def ordinary() -> dict[str, bytes]:
    """Whole files that cameras and editors write."""
    files = {}
    for path in sorted(STREET.glob("*.jpg")):
        colour = Image.open(path).convert("RGB")
        files[f"{path.stem} as it is"] = path.read_bytes()
        for mode in ("RGB", "L"):
            for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
                for quality in (50, 75, 95):
                    for progressive in (False, True):
                        name = f"{path.stem} {mode} {subsampling} {quality}{' progressive' * progressive}"
                        files[name] = jpeg(
                            colour.convert(mode),
                            quality=quality,
                            subsampling=subsampling,
                            progressive=progressive,
                        )
    return files


def unusual() -> dict[str, bytes]:
    """CMYK, and sizes that no block of pixels divides."""
    first, *_ = (Image.open(path).convert("RGB") for path in sorted(STREET.glob("*.jpg")))
    files = {f"CMYK {quality}": jpeg(first.convert("CMYK"), quality=quality) for quality in (75, 95)}
    for width, height in ((1, 1), (17, 9), (101, 67), (479, 359)):
        files[f"{width} x {height}"] = jpeg(first.crop((0, 0, width, height)), quality=90)
    return files


def damaged() -> dict[str, bytes]:
    """Files cut short, and files with 16 bytes of their data turned over."""
    whole = next(iter(sorted(STREET.glob("*.jpg")))).read_bytes()
    files = {f"{cut:.0%} of the file": whole[: int(cut * len(whole))] for cut in CUTS}
    for tenth in range(1, 10):
        start = tenth * len(whole) // 10
        turned = bytes(byte ^ 0xFF for byte in whole[start : start + 16])
        files[f"damaged at {tenth}0 %"] = whole[:start] + turned + whole[start + 16 :]
    return files


def attempt(decoder: Callable[[bytes], Pixels], data: bytes) -> Pixels | None:
    """The pixels; None where the decoder refuses the file."""
    try:
        return decoder(data)
    except (BadImage, ValueError):
        return None


def verdict(data: bytes, other: Callable[[bytes], Pixels]) -> str:
    """How the two decoders' answers to a file compare."""
    ours, theirs = attempt(decode, data), attempt(other, data)
    if ours is None or theirs is None:
        says = {True: "refuses", False: "decodes"}
        if ours is theirs:
            return "both refuse"
        return f"Pillow {says[ours is None]}, simplejpeg {says[theirs is None]}"
    if ours.shape != theirs.shape:
        return "another shape"
    difference = int(np.abs(ours.astype(int) - theirs).max())
    return "equal" if difference == 0 else f"differs by {difference}"


def milliseconds(decoder: Callable[[bytes], Pixels], data: bytes, repeats: int) -> float:
    """Median processor time of a file."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        decoder(data)
        times.append(1e3 * (time.process_time() - start))
    return median(times)


def main() -> None:
    """Compare, and print what was found."""
    parser = argparse.ArgumentParser(description="Pillow beside simplejpeg")
    parser.add_argument("--repeats", type=int, default=50, help="timings of each decoder")
    arguments = parser.parse_args()
    try:
        import simplejpeg
    except ImportError:
        sys.exit("simplejpeg is not installed; install it with: pip install simplejpeg==1.9.0")

    def other(data: bytes) -> Pixels:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB")
        return pixels

    for title, files in (("ordinary", ordinary()), ("unusual", unusual()), ("damaged", damaged())):
        found: dict[str, list[str]] = {}
        for name, data in files.items():
            found.setdefault(verdict(data, other), []).append(name)
        print(f"{title}, {len(files)} files")
        for said, names in found.items():
            shown = "" if said == "equal" or len(names) > 8 else f": {', '.join(names)}"
            print(f"  {said}: {len(names)}{shown}")
    data = next(iter(ordinary().values()))
    for name, decoder in (("Pillow", decode), ("simplejpeg", other)):
        print(
            f"{name}: {milliseconds(decoder, data, arguments.repeats):.2f} ms of processor time for 480 x 360"
        )


if __name__ == "__main__":
    main()
