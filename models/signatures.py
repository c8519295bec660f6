"""What a builder takes, and options as it takes them: an option that it does not know is found before it
runs, so that a TypeError inside it is a bug and shows its traceback.
"""

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, formatannotation, signature
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from regard.errors import InvalidInput, UnknownName
from regard.models.options import ALIAS, CLASSES, check_alias

Function = TypeVar("Function", bound=Callable[..., object])

_ANY_TYPE = ConfigDict(arbitrary_types_allowed=True)


def passes_options_to(target: Callable[..., object]) -> Callable[[Function], Function]:
    """Write into a function's signature which keywords its **options are: those of `target` that have a
    default and that the function does not take itself.
    """

    def declare(function: Function) -> Function:
        own = signature(function)
        parameters = {p.name: p for p in own.parameters.values() if p.kind is not Parameter.VAR_KEYWORD}
        for passed in signature(target).parameters.values():
            if passed.default is not Parameter.empty and passed.name not in parameters:
                parameters[passed.name] = passed.replace(kind=Parameter.KEYWORD_ONLY)
        setattr(function, "__signature__", own.replace(parameters=list(parameters.values())))  # noqa: B010
        return function

    return declare


def options_of(build: Callable[..., object]) -> dict[str, Parameter]:
    """The options that a builder takes, by name; the number of classes is called `classes`."""
    taken = signature(build).parameters.values()
    return {CLASSES if p.name == ALIAS else p.name: p for p in taken if p.kind is not Parameter.VAR_KEYWORD}


def keywords(name: str, build: Callable[..., object], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the keyword arguments of a builder, which calls the number of classes `classes` or
    `num_classes`.

    name: of the network, for the errors.

    Raises:
        UnknownName: it does not take an option; with the nearest ones that it takes.
        InvalidInput: one that it needs is missing, or the number of classes is given under both names.
    """
    check_alias(options)
    parameters = signature(build).parameters
    given = {_spelled(key, parameters): value for key, value in options.items()}
    if not any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values()):
        for key in options:
            if _spelled(key, parameters) not in parameters:
                raise UnknownName.among(f"option of {name}", key, options_of(build))
    missing = [
        key
        for key, p in parameters.items()
        if p.default is Parameter.empty
        and p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        and key not in given
    ]
    if missing:
        raise InvalidInput(f"{name} needs {' and '.join(missing)}, as in {missing[0]}=VALUE")
    return given


def typed(build: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a builder in the types of its annotations: a list becomes a tuple, 16.0 16.

    Raises:
        ValueError: a value is of another type.
    """
    parameters = signature(build).parameters
    return {key: _typed(parameters[key], value) for key, value in given.items()}


def type_name(parameter: Parameter) -> str:
    """A parameter's annotation, without the modules of its types."""
    return re.sub(r"\b(\w+\.)+", "", formatannotation(parameter.annotation))


def _spelled(key: str, parameters: Mapping[str, Parameter]) -> str:
    """The key, or the other name of the number of classes where that is the builder's."""
    other = {CLASSES: ALIAS, ALIAS: CLASSES}.get(key, key)
    return other if key not in parameters and other in parameters else key


def _typed(parameter: Parameter, value: object) -> object:
    try:
        return TypeAdapter(parameter.annotation, config=_ANY_TYPE).validate_python(value)
    except ValidationError:
        name = CLASSES if parameter.name == ALIAS else parameter.name
        raise ValueError(f"{name} must be {type_name(parameter)}, got {value!r}") from None
