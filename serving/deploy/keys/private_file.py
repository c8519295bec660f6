"""Files that only their owner reads, written whole, and left alone where nothing changes."""

import os
from pathlib import Path

from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput


def read_private(path: Path) -> bytes | None:
    """Its content, or None where there is no such file.

    Raises:
        InvalidInput: there is one, and it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(
            f"cannot read {path}: {error.strerror or error}. Give it to the user that runs this, or delete "
            "it so that a new one is made."
        ) from None


def write_private(path: Path, content: bytes) -> bool:
    """Make the file hold `content`, with mode 600. Returns whether it had to be written.

    Raises:
        InvalidInput: it cannot be.
    """
    if read_private(path) == content:
        return False
    with whole_file(path) as draft:
        draft.unlink(missing_ok=True)  # left by a crash: with what mode, nobody knows
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return True
