"""The two forms of an operator in a graph: written out in ONNX's own operators, or a node that carries its
body.
"""

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from onnx import ModelProto, inliner

from regard.errors import InvalidInput
from regard.export.graph.nodes import custom_operators
from regard.export.graph.translations import Translations
from regard.export.ops.operator import MADE
from regard.export.ops.replacement import replacing

Form = Literal["portable", "function"]


def translations() -> Translations:
    """How the exporter writes every operator: as a node."""
    return {operator.target: operator.translation for operator in MADE.values()}


def tracing_in(form: Form) -> AbstractContextManager[None]:
    """While active, "function" traces networks by regard's operators, "portable" as they are."""
    return replacing() if form == "function" else nullcontext()


def in_form(model: ModelProto, form: Form) -> ModelProto:
    """A traced graph whose operators are written out ("portable") or carry their bodies ("function").

    Raises:
        InvalidInput: "function", of a graph without such operators.
    """
    used = [MADE[title] for title in custom_operators(model) if title in MADE]
    if form == "function":
        check_used(used)
    if not used:
        return model
    model.functions.extend(operator.body for operator in used)
    return inliner.inline_local_functions(model) if form == "portable" else model


def check_used(operators: Collection[object]) -> None:
    """Refuse the form "function" where there is nothing to keep.

    Raises:
        InvalidInput: no operators.
    """
    if not operators:
        raise InvalidInput(
            f"the network computes none of {', '.join(sorted(MADE))}, and nothing else can be kept as a "
            "function; export it in the portable form, which is the default"
        )
