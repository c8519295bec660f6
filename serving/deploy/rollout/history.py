"""Who was served when: one line of JSON for each change of a deployment, in history.jsonl."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, Literal

from regard.errors import InvalidInput

HISTORY_FILE = "history.jsonl"
Event = Literal["promoted", "refused", "rolled back", "interrupted", "retired"]


def now() -> str:
    """The time, as the history writes it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One change.

    Attributes:
        event: promoted or rolled back: who serves changed. refused, interrupted: a new version was tried, and
            who served goes on. retired: a colour that served nobody any more was freed.
        colour, source: who serves from then on; of retired: what was freed.
        model, version: what the change is about, and the version of it that serves from then on; None where
            it is not served then.
        tried, tried_source: of refused and interrupted: the version that was not taken, and its snapshot.
        before: the version of the model that served until then.
        reason: why.
        figures: what was measured.
    """

    event: Event
    colour: str
    source: str | None
    model: str | None = None
    version: int | None = None
    tried: int | None = None
    tried_source: str | None = None
    before: int | None = None
    reason: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=now)


def note(deployment: Path, entry: Entry) -> None:
    """Add a line.

    Raises:
        InvalidInput: it cannot be written.
    """
    file = deployment / HISTORY_FILE
    try:
        with file.open("a+b") as stream:
            if stream.tell() and _last_byte(stream) != b"\n":  # a line that a full disk cut off
                stream.write(b"\n")
            stream.write(json.dumps(asdict(entry)).encode() + b"\n")
    except OSError as error:
        raise InvalidInput(f"cannot write {file}: {error.strerror or error}; free some space") from None


def last_change(deployment: Path) -> Entry | None:
    """The last change of who serves.

    Raises:
        InvalidInput: as of `read_history`.
    """
    changes = [entry for entry in read_history(deployment) if entry.event in ("promoted", "rolled back")]
    return changes[-1] if changes else None


def rolled_back(promotion: Entry, colour: str, source: str | None, *, reason: str | None = None) -> Entry:
    """What the history says of going back from a promotion to a colour, which serves a source."""
    return Entry(
        event="rolled back",
        colour=colour,
        source=source,
        model=promotion.model,
        version=promotion.before,
        before=promotion.version,
        reason=reason,
    )


def _last_byte(stream: BinaryIO) -> bytes:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1)


def read_history(deployment: Path) -> list[Entry]:
    """The changes, the oldest first; lines that cannot be read, such as one that a full disk cut off, are
    left out.

    Raises:
        InvalidInput: the file cannot be read.
    """
    file = deployment / HISTORY_FILE
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror or error}") from None
    entries = []
    for line in lines:
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return entries
