"""What a running server says of its models, where `regard show` finds it: a file beside the repository, as
long as the server runs.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from regard.contract.whole_file import write_text
from regard.errors import InvalidInput

Notes = Mapping[str, tuple[str, ...]]  # by the name of an endpoint


def tell(repository: Path, notes: Notes) -> None:
    """Leave the notes of this process's server; where they cannot be written, its report alone has them."""
    if not notes:
        forget(repository)
        return
    with suppress(InvalidInput):
        write_text(_file(repository), json.dumps({"pid": os.getpid(), "notes": notes}))


def forget(repository: Path) -> None:
    """Take away what this process left."""
    if _read(repository)[0] == os.getpid():
        with suppress(OSError):
            _file(repository).unlink(missing_ok=True)


def told(repository: Path) -> Notes:
    """The notes of a server that runs on the repository now; none of one that has ended."""
    pid, notes = _read(repository)
    return notes if pid is not None and _runs(pid) else {}


def _file(repository: Path) -> Path:
    place = repository.resolve()
    return place.parent / f".{place.name}.served.json"


def _read(repository: Path) -> tuple[int | None, Notes]:
    try:
        found = json.loads(_file(repository).read_bytes())
        return int(found["pid"]), {str(name): tuple(map(str, each)) for name, each in found["notes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or none of ours
        return None, {}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
