"""What an output is of: kept in it as `_regard/batch.json`, so that nothing else is ever mixed in."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from regard.contract.names import Task
from regard.errors import InvalidInput
from regard.serving.batch.model import Identity
from regard.serving.batch.plan import FOLDER
from regard.serving.batch.storage import Storage

FILE = f"{FOLDER}/batch.json"
SCHEMA = 1
SHA256 = 64  # digits, of which the first say enough


@dataclass(frozen=True)
class Job:
    """The facts that hold for every row.

    input: the images' URL.
    column: of Parquet files.
    top: classes of a classification in a row.
    """

    model: Identity
    task: Task
    input: str
    column: str | None
    top: int

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n"

    def claim(self, output: Storage) -> None:
        """Begin an output with this job, or go on with one of the same.

        Raises:
            InvalidInput: it holds another job's rows, or files of something else.
        """
        if FILE not in (files := output.files()):
            if files:
                raise InvalidInput(
                    f"{output.url} holds {files[0]!r}, which is not of a batch; give an empty folder"
                )
            if output.create(FILE, self.to_json().encode()):
                return
        with output.opened(FILE) as file:
            kept = _parsed(file.read(), output)
        differing = list(_differences(kept, json.loads(self.to_json())))
        if differing:
            raise InvalidInput(
                f"{output.url} holds answers of another batch: {'; '.join(differing)}. Give another output, "
                "or the same input and model again"
            )


def _parsed(text: bytes, output: Storage) -> dict[str, Any]:
    try:
        kept = json.loads(text)
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise InvalidInput(f"{output.url}/{FILE} is damaged; give another output")
    return kept


def _differences(kept: dict[str, Any], mine: dict[str, Any]) -> Iterator[str]:
    for name in sorted({*kept, *mine}):
        old, new = kept.get(name), mine.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f"{name}'s {words}" for words in _differences(old, new))
        elif old != new:
            yield f"{name} was {_short(old)}, and is {_short(new)}"


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == SHA256 else text
