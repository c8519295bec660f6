"""Reading Cards that another regard may have written.

A Card of schema 1 is brought to the present one. A field that this regard does not know is left out, and that
is said once; a Card of a later schema is refused.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from regard.contract.card import EXTRA, SCHEMA, Card, explained
from regard.errors import InvalidInput


def card_from_json(text: str | bytes, *, source: str) -> Card:
    """Parse and validate a Card's JSON text of any schema up to the present; `source` names it in the error.

    Raises:
        InvalidInput: not JSON, of a later schema, or a field is missing or breaks its rule.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{source} is not a valid Card: it is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidInput(f"{source} is not a valid Card: it is no JSON object")
    schema = fields.setdefault("schema_version", 1 if "task" in fields else SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        raise InvalidInput(
            f"{source} is a Card of schema {schema}, this regard reads up to {SCHEMA}; install a newer one"
        )
    if schema == 1:
        fields = _of_schema_1(fields)
    try:
        return Card.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        unknown = [fault["loc"] for fault in error.errors() if fault["type"] == EXTRA]
        if len(unknown) < error.error_count():
            raise InvalidInput(explained(error, source)) from None
    _say_once(", ".join(sorted({str(place[-1]) for place in unknown})))
    for place in unknown:
        _leave_out(fields, place)
    return card_from_json(json.dumps(fields), source=source)


def card_from_file(path: Path) -> Card:
    """Read a Card.

    Raises:
        InvalidInput: no such file, or not a valid Card.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot read the Card {path}: {error.strerror}. A Card is the JSON file beside the model."
        ) from None
    return card_from_json(text, source=str(path))


def _of_schema_1(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Schema 1 had one `input`, an `output` for every task, and the `task` beside them."""
    renewed = dict(fields) | {"schema_version": SCHEMA}
    task = renewed.pop("task", None)
    if "input" in renewed:
        taken = renewed.pop("input")
        renewed["inputs"] = [taken | {"kind": "image"}] if isinstance(taken, dict) else taken
    if "output" in renewed:
        answered = renewed.pop("output")
        if isinstance(answered, dict) and task == "classification":
            kept = {key: value for key, value in answered.items() if key not in ("palette", "ignore_index")}
            renewed["answer"] = kept | {"kind": "classes"}
        elif isinstance(answered, dict) and task == "segmentation":
            renewed["answer"] = answered | {"kind": "label_map"}
        else:
            renewed["answer"] = answered
    return renewed


@cache
def _say_once(fields: str) -> None:
    warnings.warn(f"a Card of a later regard has fields that this one leaves out: {fields}", stacklevel=3)


def _leave_out(fields: Any, place: Sequence[str | int]) -> None:
    """Delete what pydantic calls unknown at a place, which also names the kinds of tagged unions."""
    part: Any = fields
    key: Any
    for key in place[:-1]:
        if isinstance(part, list) or key in part:
            part = part[key]
    part.pop(place[-1], None)
