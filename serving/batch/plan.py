"""Which images belong to which part of the output, decided once and kept, so that a part is computed again as
the same file.

_regard/plan-00000.parquet   columns image, part: the first run's images
_regard/plan-00001.parquet   those that a later run found to have been added, and so on
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby

import pyarrow as pa
import pyarrow.parquet as pq

from regard.errors import InvalidInput
from regard.serving.batch.storage import Storage

FOLDER = "_regard"  # readers of Parquet folders leave it out
PLAN = f"{FOLDER}/plan-"


@dataclass(frozen=True)
class Part:
    """A file of the output, and the keys of the images that it answers, in their order."""

    file: str
    keys: tuple[str, ...]


def plan(output: Storage, keys: Iterable[list[str]], size: int, limit: int | None) -> list[Part]:
    """The parts of the output: those that were planned, and new ones for the images that are in none.

    keys: of all images, as of an ImageSource; parts do not go across lists.
    size: images in a new part, at most.
    limit: images that are taken, the first ones; more, by less than a part, where an earlier run planned
        more.

    Raises:
        InvalidInput: a plan cannot be read; another run plans at the same time.
    """
    files = [name for name in output.files() if name.startswith(PLAN)]
    parts = [part for number, file in enumerate(files) for part in _read(output, file, number)]
    known = {key for part in parts for key in part.keys}
    new = [
        tuple(group[start : start + size])
        for group in _unknown(keys, known, limit)
        for start in range(0, len(group), size)
    ]
    if new:
        number = len(files)
        if not output.create(f"{PLAN}{number:05d}.parquet", _table(new)):
            raise InvalidInput(f"another run has just begun in {output.url}; let it end, and start again")
        parts += [Part(_name(number, index), group) for index, group in enumerate(new)]
    if limit is None:
        return parts
    before = accumulate((len(part.keys) for part in parts), initial=0)
    return [part for part, count in zip(parts, before, strict=False) if count < limit]


def _unknown(keys: Iterable[list[str]], known: set[str], limit: int | None) -> Iterator[list[str]]:
    left = limit
    for group in keys:
        looked_at = group if left is None else group[:left]
        if left is not None:
            left -= len(looked_at)
        yield [key for key in looked_at if key not in known]
        if left == 0:
            return


def _table(groups: list[tuple[str, ...]]) -> bytes:
    images = pa.array([key for group in groups for key in group], pa.string())
    numbers = pa.array([number for number, group in enumerate(groups) for _ in group], pa.int32())
    file = io.BytesIO()
    pq.write_table(pa.table({"image": images, "part": numbers}), file, compression="zstd")
    return file.getvalue()


def _read(output: Storage, name: str, number: int) -> Iterator[Part]:
    with output.opened(name) as file:
        try:
            table = pq.read_table(file)
            pairs = zip(table["part"].to_pylist(), table["image"].to_pylist(), strict=True)
        except (pa.ArrowException, KeyError, OSError) as error:
            raise InvalidInput(f"cannot read the plan {output.url}/{name}: {error}") from None
    for part, group in groupby(pairs, lambda pair: int(pair[0])):
        yield Part(_name(number, part), tuple(key for _, key in group))


def _name(plan: int, part: int) -> str:
    return f"part-{plan:05d}-{part:06d}.parquet"
