"""Options as text: `key=value`, and behind a name's question mark."""

from typing import Any

import pytest

from regard.errors import InvalidInput
from regard.models.options import agreed, parse_options, split_options, with_classes


def test_values_are_json_where_they_are_json() -> None:
    texts = ["classes=3", "attention=se", "channels=[8,4]", "a.b.c=true", "a.b.d=x", "e=1.5", "f=null", "g="]
    expected = {
        "classes": 3,
        "attention": "se",
        "channels": [8, 4],
        "a": {"b": {"c": True, "d": "x"}},
        "e": 1.5,
        "f": None,
        "g": "",
    }
    assert parse_options(texts) == expected
    assert split_options("any:name?" + "&".join(texts), {}) == ("any:name", expected)
    assert parse_options(["a=b=c"]) == {"a": "b=c"}


def test_both_places_together() -> None:
    assert split_options("resnet50", {}) == ("resnet50", {})
    assert split_options("resnet50?width=16", {"classes": 3}) == ("resnet50", {"width": 16, "classes": 3})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["classes"], "'classes' is not key=value, such as classes=10"),
        (["classes=1", "classes=2"], "classes is given twice"),
        (["a.b=1", "a.b=1"], r"a\.b is given twice"),
        (["a=1", "a.b=2"], "a is given a value and options of its own"),
        (["a.b=2", "a=1"], "a is given twice"),
        (["=1"], "the value 1 belongs to an option without a name"),
        (["a.=1"], "the value 1 belongs to an option without a name"),
    ],
)
def test_what_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_options(texts)
    if "=" in texts[0]:
        with pytest.raises(InvalidInput, match=message):
            split_options("name?" + "&".join(texts), {})


@pytest.mark.parametrize("name", ["name?classes", "name?a=1&b"])
def test_what_is_no_query(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"the options .* of 'name' are not key=value&key=value"):
        split_options(name, {})


def test_an_option_in_the_name_and_beside_it() -> None:
    with pytest.raises(InvalidInput, match="width is given twice, in the name 'resnet50' and beside it"):
        split_options("resnet50?width=16", {"width": 16})


def test_classes_have_two_names() -> None:
    assert with_classes({"num_classes": 3, "width": 8}) == {"classes": 3, "width": 8}
    assert with_classes({"classes": 3}) == {"classes": 3}
    with pytest.raises(InvalidInput, match="two names of one option"):
        with_classes({"classes": 3, "num_classes": 3})


def test_agreement() -> None:
    said: dict[str, Any] = {"classes": 3, "width": 8}
    assert agreed(said, {"classes": 3, "stem": "small"}, by="it") == {
        "classes": 3,
        "width": 8,
        "stem": "small",
    }
    with pytest.raises(InvalidInput, match="it says width=8, the options width=16; leave one out"):
        agreed(said, {"width": 16}, by="it")
