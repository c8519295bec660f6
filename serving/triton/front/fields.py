"""Reading JSON that a stranger wrote: each field is of the kind it must be, or the request is refused."""

import json
from collections.abc import Mapping
from typing import Any

SHOWN = 80  # characters of a value in a message


class Refused(Exception):
    """A request that Triton must not see, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def parsed(document: bytes | bytearray) -> Any:
    """A JSON document, read so that no other reader can read it otherwise: a key is not repeated.

    Raises:
        Refused: it is none, or is nested too deep.
    """
    try:
        return json.loads(document.decode(), object_pairs_hook=_unrepeated, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(400, "the JSON is nested too deep") from None
    except ValueError as error:  # of the encoding, too
        raise Refused(400, f"the body is not JSON: {error}") from None


def object_(value: Any, what: str) -> Mapping[str, Any]:
    """The value, a JSON object."""
    if not isinstance(value, dict):
        raise Refused(400, f"{what} must be a JSON object, got {short(value)}")
    return value


def objects(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The field, a list of objects."""
    found = holder.get(key)
    if not isinstance(found, list):
        raise Refused(400, f"{key} must be a list of tensors, got {short(found)}")
    return [object_(each, f"each of {key}") for each in found]


def text(holder: Mapping[str, Any], key: str, what: str) -> str:
    """The field, a string."""
    value = holder.get(key)
    if not isinstance(value, str):
        raise Refused(400, f"{key} of {what} must be a string, got {short(value)}")
    return value


def whole(holder: Mapping[str, Any], key: str, what: str) -> int:
    """The field, a number without sign or fraction."""
    value = holder.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        raise Refused(400, f"{key} of {what} must be a whole number, 0 or more, got {short(value)}")
    return value


def flag(holder: Mapping[str, Any], key: str, what: str) -> bool:
    """The field, true or false."""
    value = holder.get(key)
    if not isinstance(value, bool):
        raise Refused(400, f"{key} of {what} must be true or false, got {short(value)}")
    return value


def short(value: Any) -> str:
    """The value, as a message shows it."""
    if value is None:
        return "none"
    shown = repr(value[:SHOWN] if isinstance(value, (str, list)) else value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused(400, "the JSON names a key of an object twice")
    return found


def _no_constant(name: str) -> None:
    raise Refused(400, f"{name} is no number of JSON")
