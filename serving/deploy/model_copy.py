"""A model's folder, copied from a repository that may be another disk."""

import shutil
from pathlib import Path

from regard.contract.whole_folder import FULL
from regard.errors import InvalidInput
from regard.serving.repository.drafts import link
from regard.serving.repository.snapshot import BYTECODE

Copies = dict[tuple[int, int], Path]  # by device and inode: endpoints share their files


def copy_model(source: Path, target: Path, copies: Copies) -> None:
    """Copy the folder of one endpoint; files that were copied for another get a second name.

    copies: those of the same repository; is filled.

    Raises:
        InvalidInput: a file cannot be read or is none, or a folder is a link, which may lead anywhere.
        OSError: the disk of the target is full.
    """
    try:
        _copy(source, target, copies)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InvalidInput(
            f"cannot copy {error.filename or source}: {error.strerror or error}; let everyone read it "
            "(chmod -R a+rX)"
        ) from None


def _copy(source: Path, target: Path, copies: Copies) -> None:
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.name == BYTECODE:
            continue
        if path.is_dir():
            if path.is_symlink():
                raise InvalidInput(f"{path} is a link; put the folder itself there")
            _copy(path, target / path.name, copies)
            continue
        state = path.stat()
        copied = copies.setdefault((state.st_dev, state.st_ino), target / path.name)
        if copied == target / path.name:
            shutil.copyfile(path, copied)
        else:
            link(copied, target / path.name)
