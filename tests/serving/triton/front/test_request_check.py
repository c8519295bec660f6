"""What of a request is refused before Triton reads it, and what is not."""

import json
from typing import Any

import pytest

from regard.serving.triton.front.fields import Refused, parsed
from regard.serving.triton.front.request_check import check_inference, head_size


def tensor(shape: Any, data: Any = None, datatype: str = "UINT8", **parameters: Any) -> dict[str, Any]:
    entry = {"name": "image", "shape": shape, "datatype": datatype}
    return (
        entry | ({} if data is None else {"data": data}) | ({"parameters": parameters} if parameters else {})
    )


def check(*inputs: Any, tail: int = 0, **rest: Any) -> None:
    check_inference(json.dumps({"inputs": inputs} | rest).encode(), tail)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("UINT8", [0, 255]),
        ("INT8", [-128, 127]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP32", [1, -3.4e38]),
        ("FP64", [1e300, 2]),
        ("BOOL", [True, False]),
        ("BYTES", ["", "a"]),
    ],
)
def test_values_that_a_datatype_takes(datatype: str, data: list[Any]) -> None:
    check(tensor([1, 2], data, datatype))
    check(tensor([1, 2], [data], datatype))
    check(tensor([2, 1], [data[:1], data[1:]], datatype))


@pytest.mark.parametrize(
    ("datatype", "value", "words"),
    [
        ("UINT8", 256, "input 'image' hold 256, and UINT8 takes 0 to 255"),
        ("UINT8", -1, "-1, and UINT8 takes 0 to 255"),
        ("INT16", -32769, "INT16 takes -32768 to 32767"),
        ("INT64", 2**63, "INT64 takes"),
        ("UINT8", 1.0, "whole numbers, as UINT8 is, got 1.0"),
        ("UINT8", True, "whole numbers, as UINT8 is, got True"),
        ("FP32", 1e39, "FP32 takes"),
        ("FP32", "1", "must be numbers"),
        ("BOOL", 1, "true or false"),
        ("BYTES", 1, "strings"),
        ("BYTES", None, "strings"),
        ("FP16", 1, "FP16, which JSON cannot carry"),
        ("UINT9", 1, "none of Triton's"),
    ],
)
def test_values_that_it_does_not(datatype: str, value: Any, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        check(tensor([1, 2], [0 if datatype == "UINT8" else value, value], datatype))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([4611686018427387904, 1, 1, 1], "holds 4611686018427387904"),  # it aborted the server
        ([1000000, 28, 28, 3], "has 1 values, and shape .* holds 2352000000"),  # it took 3.3 GB
        ([2**32, 2**32], "holds 18446744073709551616"),  # 0 in 64 bits
        ([0, 1], "1 or more each"),
        ([-1, 1], "1 or more each"),
        ([2**63], "1 or more each"),
        ([1.0], "1 or more each"),
        ([True], "1 or more each"),
        (1, "must be a list"),
        (None, "must be a list"),
        ([1] * 33, "33 dimensions"),
        ([1, 2], "has 1 values, and shape"),
    ],
)
def test_shapes_that_are_none_or_hold_something_else(shape: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        check(tensor(shape, [1]))


def test_bytes_behind_the_json() -> None:
    check(tensor([2, 3], datatype="FP32", binary_data_size=24), tail=24)
    check(tensor([2, 1], datatype="BYTES", binary_data_size=30), tail=30)
    check(tensor([3], binary_data_size=3), tensor([5], binary_data_size=5), tail=8)
    check(tensor([3], shared_memory_region="region", shared_memory_byte_size=3, shared_memory_offset=9))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            tensor([3], binary_data_size=4),
            "binary_data_size of input 'image' is 4, and UINT8 of shape .* is 3",
        ),
        (tensor([2**62, 4], binary_data_size=0), "is 0, and"),  # 0 in 64 bits
        (tensor([2], datatype="BYTES", binary_data_size=7), "at least 8"),
        (tensor([3], binary_data_size="3"), "whole number, 0 or more, got '3'"),
        (tensor([3], binary_data_size=-3), "whole number"),
        (tensor([3], [1, 2, 3], binary_data_size=3), "exactly one of .* got binary_data_size and data"),
        (tensor([3]), "exactly one of .* got none"),
        (
            tensor([3], shared_memory_region="region"),
            "shared_memory_byte_size of input 'image' must be a whole",
        ),
        (tensor([3], shared_memory_region="region", shared_memory_byte_size=4), "is 4, and UINT8"),
        (tensor([3], shared_memory_region=1, shared_memory_byte_size=3), "must be a string"),
        (
            tensor([3], shared_memory_region="r", shared_memory_byte_size=3, shared_memory_offset=-1),
            "shared_memory_offset of input 'image' must be a whole",
        ),
    ],
)
def test_sizes_that_contradict_the_shape(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        check(entry, tail=entry.get("parameters", {}).get("binary_data_size", 0))


@pytest.mark.parametrize("tail", [2, 4])
def test_a_tail_that_is_not_what_the_inputs_say(tail: int) -> None:
    with pytest.raises(Refused, match=f"add up to 3, and {tail} bytes follow"):
        check(tensor([3], binary_data_size=3), tail=tail)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("hello", "not JSON"),
        ("", "not JSON"),
        ('{"inputs": []', "not JSON"),
        ("[" * 1_000_000, "nested too deep"),  # it ended the server
        ('{"inputs": [], "inputs": []}', "twice"),  # Triton takes the first, others the last
        ('{"inputs": [NaN]}', "NaN"),
        (f'{{"inputs": [{"9" * 5000}]}}', "not JSON"),
        ("[]", "the request must be a JSON object"),
        ("{}", "inputs must be a list"),
        ('{"inputs": [1]}', "each of inputs must be a JSON object"),
        ('{"inputs": [{}]}', "name of an input must be a string"),
        ('{"inputs": [], "id": 1}', "id of the request"),
        ('{"inputs": [], "parameters": 1}', "parameters of the request"),
        ('{"inputs": [], "parameters": {"timeout": "x"}}', "timeout of the request's parameters"),
        ('{"inputs": [], "parameters": {"binary_data_output": 1}}', "true or false"),
        ('{"inputs": [], "outputs": 1}', "outputs must be a list"),
        ('{"inputs": [], "outputs": [{}]}', "name of an output"),
        ('{"inputs": [], "outputs": [{"name": "a", "parameters": {"binary_data": 1}}]}', "true or false"),
        (
            '{"inputs": [], "outputs": [{"name": "a", "parameters": {"classification": "3"}}]}',
            "classification",
        ),
        (
            '{"inputs": [], "outputs": [{"name": "a", "parameters": {"shared_memory_region": "r"}}]}',
            "byte_size",
        ),
    ],
)
def test_a_head_that_is_none(document: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        check_inference(document.encode(), 0)


def test_a_head_in_another_encoding() -> None:
    with pytest.raises(Refused, match="not JSON"):
        parsed('{"inputs": []}'.encode("utf-16"))


def test_the_size_of_the_head() -> None:
    assert (head_size(None, 10), head_size("0", 10), head_size("10", 10)) == (None, 0, 10)
    for header in ("11", "-1", "x", "", "1.0", "٣", "9" * 5000):
        with pytest.raises(Refused, match="how many of the body's 10 bytes"):
            head_size(header, 10)
