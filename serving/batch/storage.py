"""Where images come from and rows go: a local folder, or any that fsspec reaches by its URL."""

import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from regard.errors import InvalidInput

DRAFT = ".draft"


@dataclass(frozen=True)
class Storage:
    """A folder, local or remote; files in it are named by their paths relative to it, with slashes.

    Every method but `read` raises InvalidInput where the storage refuses, with the words of its own library.

    Attributes:
        url: of the folder, absolute; its path where it is local.
        filesystem: fsspec's.
        root: the folder as that names it.
    """

    url: str
    filesystem: Any
    root: str

    @property
    def local(self) -> bool:
        """Whether it is on this machine's file system."""
        return isinstance(self.filesystem, LocalFileSystem)

    def path(self, name: str) -> str:
        """A file's path as the file system takes it."""
        return posixpath.join(self.root, name)

    def files(self) -> list[str]:
        """Every file below the folder, sorted by name; none where there is no folder."""
        with _said("list", self.url):
            self.filesystem.invalidate_cache()
            if not self.filesystem.exists(self.root):
                return []
            found = self.filesystem.find(self.root)
        start = len(self.root.rstrip("/")) + 1
        return sorted(path[start:] for path in found)

    def read(self, path: str) -> bytes:
        """A file's bytes, by its path as the file system takes it.

        Raises:
            OSError: this file is not there, or must not be read, which says nothing of others.
            InvalidInput: the storage fails.
        """
        try:
            data: bytes = self.filesystem.cat_file(path)
        except Exception as error:
            # elsewhere a permission is that of the credentials, and those are every file's
            own = (FileNotFoundError, IsADirectoryError, *((PermissionError,) if self.local else ()))
            if isinstance(error, own):
                raise
            raise InvalidInput(f"cannot read {path}: {_words(error)}") from None
        return data

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file, to be read in pieces."""
        with _said("read", f"{self.url}/{name}"):
            file = self.filesystem.open(self.path(name), "rb")
        with file:
            yield file

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, in the place of an earlier one of its name."""
        with _said("write", f"{self.url}/{name}"):
            if not self.local:
                self.filesystem.pipe_file(self.path(name), data)  # an object appears when it is complete
                return
            with self._draft(name, data) as draft:
                os.replace(draft, self.path(name))

    def create(self, name: str, data: bytes) -> bool:
        """Write a file whole, unless there is one of its name already, whoever wrote it; whether it did."""
        with _said("write", f"{self.url}/{name}"):
            try:
                if not self.local:
                    self.filesystem.pipe_file(self.path(name), data, mode="create")
                    return True
                with self._draft(name, data) as draft:
                    os.link(draft, self.path(name))
            except FileExistsError:
                return False
        return True

    def remove_drafts(self) -> None:
        """Remove what writers that were killed left behind; for when nobody writes."""
        if not self.local:
            return
        for name in self.files():
            if posixpath.basename(name).startswith(".") and name.endswith(DRAFT):
                with suppress(OSError):
                    os.unlink(self.path(name))  # noqa: PTH108

    @contextmanager
    def _draft(self, name: str, data: bytes) -> Iterator[str]:
        """A file of its own beside `name`, on the disk; gone when the block ends."""
        folder, base = posixpath.split(self.path(name))
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        draft = posixpath.join(folder, f".{base}.{uuid.uuid4().hex}{DRAFT}")
        try:
            with open(draft, "xb") as file:  # noqa: PTH123
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield draft
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108


def open_storage(url: str) -> Storage:
    """The folder at a path or URL, which need not be there yet.

    Raises:
        InvalidInput: nothing that is installed knows such a URL.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise InvalidInput(f"cannot open {url}: {_words(error)}") from None
    return storage_at(filesystem, root)


def storage_at(filesystem: Any, root: str) -> Storage:
    """A folder of a file system that is open."""
    local = isinstance(filesystem, LocalFileSystem)
    return Storage(root if local else filesystem.unstrip_protocol(root).rstrip("/"), filesystem, root)


@contextmanager
def _said(doing: str, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each storage's library has errors of its own
        raise InvalidInput(f"cannot {doing} {what}: {_words(error)}") from None


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
