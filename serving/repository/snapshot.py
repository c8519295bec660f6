"""What lies in a repository at one moment, so that two moments can be compared."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regard.serving.repository.layout import model_folders, versions_in
from regard.serving.repository.numbering import LAST_VERSION_FILE

BYTECODE = "__pycache__"  # the server's Python writes it beside models in Python


@dataclass(frozen=True)
class FolderState:
    """One model's folder.

    versions: rising.
    files: path in the folder -> size in bytes, time of the last change in nanoseconds, inode.
    """

    versions: tuple[int, ...]
    files: Mapping[str, tuple[int, int, int]]

    def of(self, version: int) -> dict[str, tuple[int, int, int]]:
        """The files of one version."""
        return {path: state for path, state in self.files.items() if path.startswith(f"{version}/")}

    @property
    def beside_versions(self) -> dict[str, tuple[int, int, int]]:
        """The files that are no version's."""
        numbers = {str(version) for version in self.versions}
        return {path: state for path, state in self.files.items() if path.split("/")[0] not in numbers}


def snapshot(repository: Path) -> dict[str, FolderState]:
    """The state of every model's folder, by name. What vanishes meanwhile is left out; a folder that cannot
    be read is there, and empty.

    Raises:
        OSError: the repository itself cannot be read.
    """
    return {
        folder.name: state for folder in model_folders(repository) if (state := _state(folder)) is not None
    }


def _state(folder: Path) -> FolderState | None:
    files = {}
    try:
        versions = tuple(versions_in(folder))
    except FileNotFoundError:
        return None
    except OSError:
        return FolderState((), {})
    for place, folders, names in os.walk(folder, followlinks=True):
        if BYTECODE in folders:
            folders.remove(BYTECODE)
        for name in names:
            if name == LAST_VERSION_FILE:
                continue  # it changes nothing of what is served
            path = Path(place) / name
            try:
                found = path.stat()
            except OSError:
                continue
            files[path.relative_to(folder).as_posix()] = (found.st_size, found.st_mtime_ns, found.st_ino)
    return FolderState(versions, files)
