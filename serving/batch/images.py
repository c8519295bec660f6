"""The images of a folder or of Parquet files: what each is called, and its bytes when its turn comes."""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from regard.contract.image_files import SUFFIXES
from regard.errors import InvalidInput
from regard.serving.batch.storage import Storage, open_storage, storage_at

PARQUET = (".parquet", ".pq")
ROW = "#"  # between a Parquet file's name and a row's number
NOT_UTF8 = re.compile(r"\\u(dc[89a-f][0-9a-f])")  # a byte of a file's name, as a key writes it
AT_ONCE = 32  # rows of images in memory


@dataclass(frozen=True)
class StoredImage:
    """An image that a client takes as an opened file: read when its turn comes.

    name: its key.
    """

    name: str
    read: Callable[[], bytes]


class ImageSource(Protocol):
    """A set of images, each with a key of its own that does not change as others are added."""

    @property
    def url(self) -> str:
        """Where they are, absolute."""
        ...

    def keys(self) -> Iterator[list[str]]:
        """The keys in order, those that are best read together in one list."""
        ...

    def images(self, keys: Sequence[str]) -> Iterator[StoredImage]:
        """The images of these keys, in their order."""
        ...


@dataclass(frozen=True)
class FolderOfImages:
    r"""Image files below a folder, at any depth; the key of each is its path from there, with
    `\udce9` for a byte 0xe9 that is no UTF-8.
    """

    storage: Storage

    @property
    def url(self) -> str:
        """The folder's."""
        return self.storage.url

    def keys(self) -> Iterator[list[str]]:
        """All in one list.

        Raises:
            InvalidInput: there are none.
        """
        files = self.storage.files()
        found = [name for name in files if name.lower().endswith(SUFFIXES)]
        if not found:
            parquet = any(name.lower().endswith(PARQUET) for name in files)
            step = "name the column of its Parquet files" if parquet else "name a folder that holds some"
            raise InvalidInput(f"no images ({', '.join(SUFFIXES)}) in {self.storage.url}; {step}")
        yield [name.encode("utf-8", "backslashreplace").decode() for name in found]  # Parquet's are UTF-8

    def images(self, keys: Sequence[str]) -> Iterator[StoredImage]:
        """Each file of its own."""
        for key in keys:
            name = NOT_UTF8.sub(lambda found: chr(int(found[1], 16)), key)
            yield StoredImage(key, partial(self.storage.read, self.storage.path(name)))


@dataclass(frozen=True)
class ParquetImages:
    """Rows of Parquet files; the key of each is `<file>#<number of its row>`, the first being 0.

    column: whole image files (binary, or a struct with such a field `bytes`), or paths of some (string):
        relative to the Parquet file, absolute, or URLs of the same storage.
    only: the one file of the storage that is meant.
    """

    storage: Storage
    column: str
    only: str | None = None

    @property
    def url(self) -> str:
        """The folder's, or the file's."""
        return self.storage.url if self.only is None else f"{self.storage.url}/{self.only}"

    def keys(self) -> Iterator[list[str]]:
        """A list for each row group.

        Raises:
            InvalidInput: no Parquet file, one that cannot be read, or that has no such column of images.
        """
        files = [self.only] if self.only else [name for name in self.storage.files() if _is_data(name)]
        if not files:
            raise InvalidInput(f"no Parquet files in {self.storage.url}; name a folder that holds some")
        for name in files:
            with self.storage.opened(name) as file:
                parquet = self._parquet(file, name)
                sizes = [
                    parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)
                ]
            first = 0
            for size in sizes:
                yield [f"{name}{ROW}{row}" for row in range(first, first + size)]
                first += size

    def images(self, keys: Sequence[str]) -> Iterator[StoredImage]:
        """From row groups that hold some of them, a few rows at a time."""
        for name, group in groupby(keys, lambda key: key.rpartition(ROW)[0]):
            rows = [int(key.rpartition(ROW)[2]) for key in group]
            for row, value in self._values(name, rows):
                yield StoredImage(f"{name}{ROW}{row}", partial(self._bytes, name, value))

    def _values(self, name: str, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
        wanted = iter(rows)
        row = next(wanted, None)
        with self.storage.opened(name) as file:
            parquet = self._parquet(file, name)
            first = 0
            for group in range(parquet.num_row_groups):
                end = first + parquet.metadata.row_group(group).num_rows
                if row is not None and first <= row < end:
                    batches = parquet.iter_batches(
                        AT_ONCE, row_groups=[group], columns=[self.column], use_threads=False
                    )
                    start = first
                    for batch in batches:
                        while row is not None and row < start + len(batch):
                            yield row, batch.column(0)[row - start].as_py()
                            row = next(wanted, None)
                        start += len(batch)
                        if row is None or row >= end:
                            break
                first = end
        if row is not None:
            raise InvalidInput(f"{self.storage.url}/{name} has no row {row} any more; give another output")

    def _parquet(self, file: Any, name: str) -> pq.ParquetFile:
        where = f"{self.storage.url}/{name}"
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(f"cannot read {where}: {error}") from None
        schema = parquet.schema_arrow
        if self.column not in schema.names:
            raise InvalidInput(
                f"{where} has no column {self.column!r}; it has {', '.join(map(repr, schema.names))}"
            )
        kind = schema.field(self.column).type
        if not _holds_images(kind):
            raise InvalidInput(
                f"the column {self.column!r} of {where} is {kind}; images are binary (whole files) or string "
                "(their paths)"
            )
        return parquet

    def _bytes(self, name: str, value: Any) -> bytes:
        if isinstance(value, dict):
            value = value["bytes"]
        if isinstance(value, str):
            return self.storage.read(self._path(name, value))
        if value is None:
            raise ValueError("the row holds none")
        data: bytes = value
        return data

    def _path(self, name: str, written: str) -> str:
        protocol, scheme, _ = written.partition("://")
        if not scheme:
            return posixpath.join(posixpath.dirname(self.storage.path(name)), written)
        own = self.storage.filesystem.protocol
        if protocol not in ((own,) if isinstance(own, str) else own):
            raise ValueError(f"{written} lies in another storage than the row")
        path: str = self.storage.filesystem._strip_protocol(written)
        return path


def image_source(url: str, column: str | None) -> ImageSource:
    """The images at a path or URL: those of a folder, or of Parquet files where a column is named.

    Raises:
        InvalidInput: nothing is there, or it is a file that holds no images.
    """
    storage = open_storage(url)
    if not storage.filesystem.exists(storage.root):
        raise InvalidInput(f"there is no {url}; name a folder of images, a Parquet file or a folder of some")
    if not storage.filesystem.isfile(storage.root):
        return FolderOfImages(storage) if column is None else ParquetImages(storage, column)
    if column is None:
        raise InvalidInput(f"{url} is a file; name a folder of images, or the column of a Parquet file")
    folder, name = posixpath.split(storage.root)
    return ParquetImages(storage_at(storage.filesystem, folder), column, name)


def _is_data(name: str) -> bool:
    """Whether a file is one that readers of Parquet folders take: they leave out `_*` and `.*`."""
    return name.lower().endswith(PARQUET) and not any(part[0] in "_." for part in name.split("/"))


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and pa.types.is_binary(field.type) for field in kind)
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    return any(test(kind) for test in tests)
