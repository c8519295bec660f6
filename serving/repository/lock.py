"""One change of a repository at a time: whoever comes second waits."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regard.errors import InvalidInput

Report = Callable[[str], None]


def nobody(message: str) -> None:
    """The report of those who do not want one."""


@contextmanager
def changing(repository: Path, report: Report) -> Iterator[None]:
    """Hold the repository alone, against every process and thread that changes it.

    While it is held there is a lock file beside the repository. The system lets go of the lock when its
    holder ends, however that happens.

    report: is told, once, when another is waited for.

    Raises:
        InvalidInput: the folder around the repository does not exist or cannot be written.
    """
    place = repository.resolve()
    path = place.parent / f".{place.name}.lock"
    try:
        file = _locked(path, lambda: report(f"waiting for another change of {repository} to end"))
    except OSError as error:
        raise InvalidInput(
            f"cannot write to {place.parent}, where the lock and the drafts of {repository} are kept: "
            f"{error.strerror}"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _locked(path: Path, waits: Callable[[], None]) -> int:
    """Lock the file that is at `path` once the lock is had; returns it, open."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(path, file):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its holder has removed it; the next one may hold another by now


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
