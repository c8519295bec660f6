"""A folder that appears whole or not at all: filled beside its place as `.<name>.draft`, then renamed."""

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from regard.errors import ExportError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
AT_FDCWD = -100  # <fcntl.h>: paths are relative to the working directory
RENAME_EXCHANGE = 2  # <linux/fs.h>: swap the two


@contextmanager
def whole_folder(target: Path, *, files: Set[str], keep: type[Exception] | tuple[()] = ()) -> Iterator[Path]:
    """Yield an empty draft folder, and put it in the place of `target` when the block ends well; otherwise
    leave `target` as it was.

    Args:
        target: where the folder will be; an earlier one is replaced in one step.
        files: names an earlier folder may hold; anything else in it would be lost, and is refused.
        keep: an error after which the draft stays for study, if any; after all others it is removed.

    Raises:
        ExportError: the target holds something else, or cannot be written.
    """
    draft = draft_of(target)
    try:
        _refuse_foreign(target, files)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        _publish(draft, target)
    except keep:
        raise
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        reason = "the disk is full" if error.errno in FULL else error.strerror or str(error)
        raise ExportError(
            f"cannot write {target}: {reason}; free some space, or name another folder"
        ) from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def draft_of(target: Path) -> Path:
    """Where the draft of a folder is."""
    return target.with_name(f".{target.name}.draft")


def _refuse_foreign(target: Path, files: Set[str]) -> None:
    if target.is_dir():
        foreign = sorted(path.name for path in target.iterdir() if path.name not in files)
        if foreign:
            raise ExportError(
                f"{target} holds {foreign[0]}, which is no part of an export and would be lost; name a new "
                "folder"
            )
    elif target.exists():
        raise ExportError(f"{target} is a file; name a folder")


def _publish(draft: Path, target: Path) -> None:
    if not target.exists():
        os.rename(draft, target)
        return
    swap(draft, target)
    shutil.rmtree(draft, ignore_errors=True)  # now the earlier folder


def swap(one: Path, other: Path) -> None:
    """Give two folders each other's name in one step, or in three where the kernel or the file system is too
    old: for an instant there is then no `other`.
    """
    if _exchange(one, other):
        return
    old = other.with_name(f".{other.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    os.rename(other, old)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(old, other)
        raise
    os.rename(old, one)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    return (
        renameat2 is not None
        and renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0
    )
