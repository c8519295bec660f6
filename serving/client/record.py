"""Predictions as a file for other programs: JSON, an object a line, or CSV, a row for each image."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from regard.contract.results import Classification, Pose, Text
from regard.contract.whole_file import whole_file
from regard.errors import InvalidInput, RegardError
from regard.serving.client.entries import Entry

SUFFIXES = (".csv", ".jsonl")
Cell = str | float


def check_suffix(path: Path) -> None:
    """Refuse a kind of file that is not written: before the images are predicted.

    Raises:
        InvalidInput: the name ends otherwise.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(
            f"answers cannot be written as {path.name!r}; end its name in {' or '.join(SUFFIXES)}."
        )


def write_record(entries: Sequence[Entry], path: Path) -> None:
    """Write the entries whole or not at all, in the format of the suffix.

    Raises:
        InvalidInput: another suffix, or the file cannot be written.
    """
    check_suffix(path)
    text = _csv(entries) if path.suffix.lower() == ".csv" else _json_lines(entries)
    with whole_file(path) as draft:  # a file's name need not be UTF-8
        draft.write_bytes(text.encode("utf-8", "surrogateescape"))


def _json_lines(entries: Sequence[Entry]) -> str:
    return "".join(json.dumps(entry.to_json()) + "\n" for entry in entries)


def _csv(entries: Sequence[Entry]) -> str:
    rows = [_row(entry) for entry in entries]
    columns = dict.fromkeys(column for row in rows for column in row if column != "error")
    file = io.StringIO()
    writer = csv.DictWriter(file, [*columns, "error"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(entry: Entry) -> dict[str, Cell]:
    """Columns of an entry: of a classification the likeliest labels, numbered from the second, and those that
    apply; of a segmentation each label's area; of words the text; of a pose each joint's place.
    """
    row: dict[str, Cell] = {**entry.named}
    match entry.result:
        case Classification(top=top, labels=labels):
            for rank, (label, probability) in enumerate(top, 1):
                behind = "" if rank == 1 else f" {rank}"
                row |= {f"label{behind}": label, f"probability{behind}": probability}
            row["labels"] = "; ".join(labels)
        case dict() as area:
            row |= {f"area of {label}": fraction for label, fraction in area.items()}
        case Text(text=text, log_probability=log_probability):
            row |= {"answer": text, "log_probability": log_probability}
        case Pose(joints=joints, confidence=confidence):
            for name, (x, y) in joints.items():
                row |= {f"x of {name}": x, f"y of {name}": y, f"confidence of {name}": confidence[name]}
        case RegardError() as error:
            row["error"] = str(error)
    return row | {kind: str(path) for kind, path in entry.written.items()}
