"""Options of a network as text, and what is asked for beside what a Card says.

classes=10                        a number, true, false, null or a list is read as JSON
attention=se                      what is no JSON is text
block_args.attn_layer=cbam        a dot goes into a dictionary

Behind a name they follow a question mark: `timm:resnet50?classes=10&drop_rate=0.1`. `classes` is the number
of classes of every network; `num_classes` is another name for it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from regard.errors import InvalidInput

CLASSES, ALIAS = "classes", "num_classes"


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Read options, each `key=value`.

    Raises:
        InvalidInput: one is not, has no key, or is given twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"{text!r} is not key=value, such as classes=10")
        _put(options, key, _value(value))
    return options


def split_options(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A name without its question mark, and the options behind it together with those given beside it.

    Raises:
        InvalidInput: what is behind it is not key=value&key=value, or an option is given twice.
    """
    name, mark, query = name.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if mark else []
    except ValueError:
        raise InvalidInput(f"the options {query!r} of {name!r} are not key=value&key=value") from None
    own: dict[str, Any] = {}
    for key, value in pairs:
        _put(own, key, _value(value))
    if twice := own.keys() & options.keys():
        raise InvalidInput(f"{', '.join(sorted(twice))} is given twice, in the name {name!r} and beside it")
    return name, own | dict(options)


def with_classes(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, with the number of classes under the name `classes`.

    Raises:
        InvalidInput: it is given under both names.
    """
    check_alias(options)
    return {CLASSES if key == ALIAS else key: value for key, value in options.items()}


def check_alias(options: Mapping[str, Any]) -> None:
    """Refuse the number of classes under both its names, with an InvalidInput."""
    if CLASSES in options and ALIAS in options:
        raise InvalidInput(f"{CLASSES} and {ALIAS} are two names of one option; give one of them")


def agreed(said: Mapping[str, Any], asked: Mapping[str, Any], *, by: str) -> dict[str, Any]:
    """What is said of a network, and what is asked for beyond it.

    by: who says it.

    Raises:
        InvalidInput: they contradict each other.
    """
    for key, value in asked.items():
        if key in said and said[key] != value:
            raise InvalidInput(f"{by} says {key}={said[key]!r}, the options {key}={value!r}; leave one out")
    return {**said, **asked}


def _put(options: dict[str, Any], path: str, value: object) -> None:
    *folders, last = path.split(".")
    for folder in folders:
        options = options.setdefault(folder, {})
        if not isinstance(options, dict):
            raise InvalidInput(f"{folder} is given a value and options of its own, in {path!r}")
    if not last:
        raise InvalidInput(f"the value {value!r} belongs to an option without a name; write key=value")
    if last in options:
        raise InvalidInput(f"{path} is given twice")
    options[last] = value


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
