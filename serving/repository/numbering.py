"""The numbers of a model's versions: each means one version for ever, though that was removed.

The highest one ever given stands in a file of the model's folder, which Triton takes no notice of.
"""

import os
from pathlib import Path

from regard.errors import InvalidInput
from regard.serving.repository.layout import versions_in

LAST_VERSION_FILE = "last_version"


def last_version(home: Path) -> int:
    """The highest number that a version of the model has or had; 0 where none is known.

    Raises:
        InvalidInput: the file holds something else.
    """
    return max([_noted(home), *versions_in(home)])


def note_version(home: Path, version: int, *, draft: Path) -> None:
    """Remember the highest number; in a model that an earlier regard added it may not stand yet."""
    if version > _noted(home):
        new = draft / f"{LAST_VERSION_FILE}~"  # no model is named like that
        new.write_text(f"{version}\n", encoding="utf-8")
        os.replace(new, home / LAST_VERSION_FILE)


def _noted(home: Path) -> int:
    file = home / LAST_VERSION_FILE
    try:
        return int(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"cannot read {file}, the highest number that a version had: {error}; write it there, or delete "
            "the file if no version was ever removed"
        ) from None
