"""What a running server says of its models, where others on this machine find it: a file beside the
repository, as long as the server runs.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regard.contract.whole_file import write_text
from regard.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class ServedNow:
    """By the name of an endpoint.

    watches: whether the server takes up what changes in its repository.
    served: the versions that answer and have proven themselves. refused: why what lies there is not served,
    or not all of it. notes: how it is computed, where that needs a word.
    """

    watches: bool
    served: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def tell(repository: Path, now: ServedNow) -> None:
    """Leave what this process's server says; where it cannot be written, its report alone has it."""
    with suppress(InvalidInput):
        write_text(_file(repository), json.dumps({"pid": os.getpid(), **asdict(now)}))


def forget(repository: Path) -> None:
    """Take away what this process left."""
    if _read(repository).get("pid") == os.getpid():
        with suppress(OSError):
            _file(repository).unlink(missing_ok=True)


def told(repository: Path) -> ServedNow | None:
    """What a server that runs on the repository now says; None where none does."""
    found = _read(repository)
    try:
        if not _runs(int(found["pid"])):
            return None
        return ServedNow(
            watches=bool(found["watches"]),
            served={name: tuple(map(int, each)) for name, each in found["served"].items()},
            refused={name: str(reason) for name, reason in found["refused"].items()},
            notes={name: tuple(map(str, each)) for name, each in found["notes"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # none of ours, or another regard's
        return None


def _file(repository: Path) -> Path:
    place = repository.resolve()
    return place.parent / f".{place.name}.served.json"


def _read(repository: Path) -> dict[str, Any]:
    try:
        found = json.loads(_file(repository).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
