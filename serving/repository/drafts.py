"""How a repository changes while a server may be reading it: what is new is made in a draft and appears by
renames.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from regard.errors import InvalidInput


@contextmanager
def drafting(repository: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the repository; afterwards it is gone, with what was left in it.

    It is on the repository's disk, so that what is finished moves into place by a rename; but not inside,
    where the server would take it for a model.

    Raises:
        InvalidInput: there is no such place, or writing fails within the block.
    """
    place = repository.resolve()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.draft-", dir=place.parent))
    except OSError as error:
        raise InvalidInput(
            f"cannot write to {place.parent}, where drafts for {repository} are kept: {error.strerror}"
        ) from None
    try:
        if folder.stat().st_dev != place.stat().st_dev:
            raise InvalidInput(
                f"{place} is a mount point, and a model must appear there by a rename; use a folder inside "
                "it as repository"
            )
        with writing(repository):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing(repository: Path) -> Iterator[None]:
    """Tell the user what could not be written.

    Raises:
        InvalidInput: an OSError within the block.
    """
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"cannot write {error.filename or repository}: {error.strerror}; nothing half-written was made "
            "visible"
        ) from None


def move(moves: Sequence[tuple[Path, Path]]) -> None:
    """Rename one after the other; where one fails, those before it are taken back."""
    with ExitStack() as undo:
        for source, target in moves:
            os.rename(source, target)
            undo.callback(os.rename, target, source)
        undo.pop_all()


def link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_folder(source: Path, target: Path) -> None:
    """A new folder of the same files, see `link`."""
    target.mkdir()
    for entry in source.iterdir():
        (link_folder if entry.is_dir() else link)(entry, target / entry.name)


def replace_texts(repository: Path, draft: Path, files: Mapping[str, str]) -> None:
    """Give files of the repository, by their paths in it, other contents; those that have them already are
    left alone, since a server that watches reloads what is written.
    """
    for file, text in files.items():
        if (repository / file).read_text(encoding="utf-8") != text:
            (draft / "file").write_text(text, encoding="utf-8")
            os.replace(draft / "file", repository / file)
