"""A file that appears whole or not at all: written beside its place as `.<name>.draft`, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regard.errors import InvalidInput


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a draft to write, and put it in the place of `path` when the block ends well; otherwise leave
    `path` as it was.

    Folders above it that are missing are made.

    Raises:
        InvalidInput: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        yield draft
        os.replace(draft, path)
    except OSError as error:
        raise InvalidInput(
            f"cannot write {path}: {error.strerror or error}. Choose another file, or free some space."
        ) from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, see `whole_file`."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
