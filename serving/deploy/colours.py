"""What each of the two servers of a deployment serves: its file `colours.json`, {"a": source, "b": source}.

A source is "repository", the model repository itself, which may change; "snapshots/<n>", an immutable copy of
it in the deployment's folder; or null: that server is idle. Without the file "a" serves the repository.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from regard.contract.whole_file import write_text
from regard.errors import InvalidInput

COLOURS = ("a", "b")
COLOURS_FILE = "colours.json"
REPOSITORY = "repository"
AT_FIRST: Mapping[str, str | None] = {"a": REPOSITORY, "b": None}
_SNAPSHOT = re.compile(r"snapshots/[1-9][0-9]*")


def read_colours(deployment: Path) -> dict[str, str | None]:
    """The source of each colour.

    Args:
        deployment: the folder.

    Raises:
        InvalidInput: the file cannot be read, or says anything else than a source for each colour.
    """
    file = deployment / COLOURS_FILE
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return dict(AT_FIRST)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from None
    if not isinstance(found, dict) or found.keys() != {*COLOURS}:
        raise InvalidInput(f"{file} must hold a source for each of {', '.join(COLOURS)} and nothing else")
    for colour, source in found.items():
        if source is not None:
            _check(source, f"the source of {colour!r} in {file}")
    return found


def write_colours(deployment: Path, colours: Mapping[str, str | None]) -> None:
    """Replace the file in one step; the servers look at it once a second.

    Raises:
        InvalidInput: it cannot be written, or one of the sources is none.
    """
    for colour, source in colours.items():
        if source is not None:
            _check(source, f"the source of {colour!r}")
    write_text(deployment / COLOURS_FILE, json.dumps(dict(colours)) + "\n")


def folder_of(source: str, *, deployment: Path, repository: Path) -> Path:
    """The model repository that a source means.

    Raises:
        InvalidInput: it is none.
    """
    _check(source, "a source")
    return repository if source == REPOSITORY else deployment / source


def _check(source: object, what: str) -> None:
    if source != REPOSITORY and not (isinstance(source, str) and _SNAPSHOT.fullmatch(source)):
        raise InvalidInput(f'{what} must be "{REPOSITORY}", "snapshots/<n>" or null, got {source!r}')
