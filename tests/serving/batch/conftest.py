"""Pictures to answer, and an output as a table."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from regard.serving.batch.plan import Part
from regard.serving.batch.worker import Done, Worker

Row = dict[str, Any]


def picture(number: int) -> bytes:
    """A PNG file like no other."""
    pixels = np.random.default_rng(number).integers(0, 256, (16, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pictures(folder: Path, count: int, *, first: int = 0) -> list[str]:
    """Write so many, half of them in a subfolder; their keys."""
    keys = [f"{'deep/er/' if number % 2 else ''}{number:04d}.png" for number in range(first, first + count)]
    for number, key in enumerate(keys, first):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(picture(number))
    return keys


def rows_in(output: Path) -> list[Row]:
    """Every row of an output, as any reader of Parquet folders sees them."""
    rows: list[Row] = pq.read_table(output).to_pylist()
    return rows


def stopping(after: int) -> Any:
    """A pool that dies when so many parts are done."""

    def pool(worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
        for part in parts[:after]:
            yield worker.compute(part)
        raise KeyboardInterrupt

    return pool
