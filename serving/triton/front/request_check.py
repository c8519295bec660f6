"""What a request over HTTP must be before Triton reads it: functions of its bytes alone.

Triton 2.51 believes a shape: it reserves the memory that it speaks of, and ends when the product overflows.
It ends likewise over JSON nested a million deep, and calls most mistakes of a client its own, 500.
"""

from collections.abc import Mapping
from typing import Any

from regard.serving.triton.front.fields import Refused, flag, object_, objects, parsed, short, text, whole
from regard.serving.triton.front.tensor_check import check_data, check_size, checked_shape

MICROSECONDS = 1_000_000  # in a second
WAYS = ("binary_data_size", "shared_memory_region")  # beside `data`, for a tensor to come


def head_size(header: str | None, body_size: int) -> int | None:
    """How many bytes of a body are JSON, as its Inference-Header-Content-Length says; None where it has none,
    which means all of them. 0 means that the body is one tensor.

    Raises:
        Refused: no such number, or more than the body has.
    """
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) < 20 and int(header) <= body_size):
        raise Refused(
            400,
            f"Inference-Header-Content-Length must say how many of the body's {body_size} bytes are JSON, "
            f"got {header[:40]!r}",
        )
    return int(header)


def check_inference(head: bytes | bytearray, tail_size: int) -> float | None:
    """Hold the JSON of an inference request against itself and the bytes behind it; returns how many seconds
    it may take by its parameter `timeout`, None where it does not say.

    tail_size: how many bytes follow the JSON.

    Raises:
        Refused: a field is missing or of another kind, a shape is impossible, or the data contradict it.
    """
    request = object_(parsed(head), "the request")
    if "id" in request:
        text(request, "id", "the request")
    settings = _settings(request)
    behind = sum(map(_binary_size, objects(request, "inputs")))
    if behind != tail_size:
        raise Refused(
            400, f"the inputs' binary_data_size add up to {behind}, and {tail_size} bytes follow the JSON"
        )
    if "outputs" in request:
        for output in objects(request, "outputs"):
            _check_output(output)
    return settings["timeout"] / MICROSECONDS if settings.get("timeout") else None


def check_generation(body: bytes | bytearray) -> None:
    """Hold the JSON of a request for generated answers against what Triton makes tensors of: a value for each
    input, by its name, or a list of values.

    Raises:
        Refused: it is no object, or one of its values is neither; as `check_inference` of its parameters.
    """
    request = object_(parsed(body), "the request")
    _settings(request)
    for name, value in request.items():
        values = value if isinstance(value, list) else [value]
        if name != "parameters" and not all(type(each) in (str, int, float, bool) for each in values):
            raise Refused(
                400, f"input {short(name)} must be a string, a number or a list of them, got {short(value)}"
            )


def _binary_size(tensor: Mapping[str, Any]) -> int:
    """How many bytes of an input follow the JSON, once it has been checked."""
    what = f"input {text(tensor, 'name', 'an input')!r}"
    datatype = text(tensor, "datatype", what)
    shape = checked_shape(tensor.get("shape"), datatype, what)
    settings = _parameters(tensor, what)
    ways = [*settings.keys() & {*WAYS}, *({"data"} & tensor.keys())]
    if len(ways) != 1:
        raise Refused(
            400,
            f"{what} must have exactly one of data, binary_data_size and shared_memory_region, got "
            f"{' and '.join(sorted(ways)) or 'none'}",
        )
    if ways == ["data"]:
        check_data(tensor["data"], shape, datatype, what)
        return 0
    if ways == ["shared_memory_region"]:
        check_size(_region_size(settings, what), "shared_memory_byte_size", shape, datatype, what)
        return 0
    size = whole(settings, "binary_data_size", what)
    check_size(size, "binary_data_size", shape, datatype, what)
    return size


def _check_output(output: Mapping[str, Any]) -> None:
    what = f"output {text(output, 'name', 'an output')!r}"
    settings = _parameters(output, what)
    if "binary_data" in settings:
        flag(settings, "binary_data", what)
    if "classification" in settings:
        whole(settings, "classification", what)
    if "shared_memory_region" in settings:
        _region_size(settings, what)


def _region_size(settings: Mapping[str, Any], what: str) -> int:
    text(settings, "shared_memory_region", what)
    if "shared_memory_offset" in settings:
        whole(settings, "shared_memory_offset", what)
    return whole(settings, "shared_memory_byte_size", what)


def _settings(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's own parameters, those that Triton reads of the kind that it reads."""
    settings = _parameters(request, "the request")
    for key in settings.keys() & {"timeout", "priority"}:
        whole(settings, key, "the request's parameters")
    for key in settings.keys() & {"binary_data_output", "sequence_start", "sequence_end"}:
        flag(settings, key, "the request's parameters")
    if "sequence_id" in settings and not isinstance(settings["sequence_id"], str):
        whole(settings, "sequence_id", "the request's parameters")
    return settings


def _parameters(holder: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    return object_(holder.get("parameters", {}), f"parameters of {what}")
