"""A tensor's shape against what came as its data: how many bytes, or which JSON values."""

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

from regard.serving.triton.front.fields import Refused, short

MAX_RANK = 32
INTEGERS: dict[str, tuple[int, int]] = {  # with the smallest and largest number of each
    f"{sign}INT{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}
FLOATS = {"FP32": 3.4028235e38, "FP64": float("inf")}  # with the largest number of each
ITEM_SIZES = {"BOOL": 1, "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8} | {
    name: int(name.partition("INT")[2]) // 8 for name in INTEGERS
}
LENGTH = 4  # bytes before each element of BYTES, which say how long it is
KINDS: dict[str, tuple[set[type], str]] = {  # of JSON values
    "BOOL": ({bool}, "true or false"),
    "BYTES": ({str}, "strings"),
    **dict.fromkeys(INTEGERS, ({int}, "whole numbers")),
    **dict.fromkeys(FLOATS, ({int, float}, "numbers")),
}


def checked_shape(shape: Any, datatype: str, what: str) -> Sequence[int]:
    """The shape, of a tensor that has elements and one of Triton's data types."""
    if datatype != "BYTES" and datatype not in ITEM_SIZES:
        raise Refused(400, f"{what} has datatype {short(datatype)}, which is none of Triton's")
    if not isinstance(shape, list) or not all(type(dim) is int and 0 < dim < 2**63 for dim in shape):
        raise Refused(
            400, f"shape of {what} must be a list of whole numbers, 1 or more each, got {short(shape)}"
        )
    if len(shape) > MAX_RANK:
        raise Refused(400, f"{what} has {len(shape)} dimensions, and {MAX_RANK} are the most")
    return shape


def check_size(size: int, field: str, shape: Sequence[int], datatype: str, what: str) -> None:
    """Hold the number of bytes that `field` says against a shape."""
    elements = prod(shape)
    if datatype == "BYTES":  # Triton holds the lengths of the elements against it
        right, wanted = size >= elements * LENGTH, f"at least {elements * LENGTH}"
    else:
        right, wanted = size == elements * ITEM_SIZES[datatype], str(elements * ITEM_SIZES[datatype])
    if not right:
        raise Refused(400, f"{field} of {what} is {size}, and {datatype} of shape {short(shape)} is {wanted}")


def check_data(data: Any, shape: Sequence[int], datatype: str, what: str) -> None:
    """Hold JSON values, flat or nested as the shape is, against shape and data type."""
    if not isinstance(data, list):
        raise Refused(400, f"data of {what} must be a list, got {short(data)}")
    if datatype not in KINDS:
        raise Refused(400, f"{what} is {datatype}, which JSON cannot carry; send its bytes behind the JSON")
    for _ in shape[1:]:
        if not data or not all(type(part) is list for part in data):
            break
        data = list(chain.from_iterable(data))
    if len(data) != prod(shape):
        raise Refused(400, f"{what} has {len(data)} values, and shape {short(shape)} holds {prod(shape)}")
    kinds, name = KINDS[datatype]
    if not {*map(type, data)} <= kinds:
        odd = next(value for value in data if type(value) not in kinds)
        raise Refused(400, f"data of {what} must be {name}, as {datatype} is, got {short(odd)}")
    if datatype in INTEGERS:
        low, high = INTEGERS[datatype]
        _check_range(data, low, high, datatype, what)
    elif datatype in FLOATS:
        _check_range(data, -FLOATS[datatype], FLOATS[datatype], datatype, what)


def _check_range(data: Sequence[float], low: float, high: float, datatype: str, what: str) -> None:
    smallest, largest = min(data), max(data)
    if not low <= smallest <= largest <= high:
        value = smallest if smallest < low else largest
        raise Refused(400, f"data of {what} hold {short(value)}, and {datatype} takes {low} to {high}")
