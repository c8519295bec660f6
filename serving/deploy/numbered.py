"""Folders that are named 1, 2, ... as they come, and a link to one of them."""

import os
import re
from pathlib import Path

from regard.errors import InvalidInput


def numbers_in(folder: Path) -> list[int]:
    """The numbers of a folder's folders, rising; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"[1-9]\d*", path.name))


def point(link: Path, folder: Path) -> None:
    """Let a link name a folder, in one step: who opens it finds this one or the one before. The link is
    relative, so that it holds where the folders are mounted elsewhere.

    Raises:
        InvalidInput: it cannot be written.
    """
    draft = link.with_name(f".{link.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        draft.symlink_to(folder.relative_to(link.parent))
        os.replace(draft, link)
    except OSError as error:
        raise InvalidInput(
            f"cannot let {link} name {folder}: {error.strerror}; what it named before stays"
        ) from None
