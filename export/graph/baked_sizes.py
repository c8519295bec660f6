"""The lines of a network that turn a size of its images into a constant while it is traced.

A traced size is a symbol. Where code takes its value - by int(), as an argument that must be a number, or in
an `if` - the graph keeps what the example happened to have.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.fx.experimental.sym_node import SymNode

from regard.models.own_code import Place, place_here

TAKING_A_VALUE = ("guard_int", "guard_float")
DECIDING = "guard_bool"
# a pattern of the line -> the form that follows the size
FORMS = {
    r"\bnp\.|numpy": "compute with torch, not numpy: torch.arange(n) follows the size n",
    r"\blinspace\b": "write torch.linspace(a, b, n) as a + torch.arange(n) * (b - a) / (n - 1)",
    r"\bsqrt\b": "write n ** 0.5",
    r"\bint\(": "take n from x.shape without int(): torch.arange(n) follows it",
    r"\bfloat\(": "take n from x.shape without float(): x / n follows it",
    r"\bif\b": "compute without a branch on a size, such as F.pad(x, (0, -width % 4, 0, -height % 4))",
}
ANY_FORM = (
    "take sizes from x.shape as they are: torch.arange(n) and F.interpolate(..., size=x.shape[2:]) follow"
)


class BakedSizes:
    """The places that were seen, in their order, each once.

    Attributes:
        values: where a size's value was taken; the graph then holds for that size only.
        branches: where a size decided a branch in the network's own code.
    """

    def __init__(self) -> None:
        self.values: dict[Place, None] = {}
        self.branches: dict[Place, None] = {}

    def __str__(self) -> str:
        """The places and what to write there, branches where no value was taken; "" where there are none."""
        return "; ".join(
            f"{place} makes a constant of a size: {form_for(place.code)}"
            for place in self.values or self.branches
        )


def form_for(code: str) -> str:
    """The form of a line of code that follows the size."""
    return next((form for pattern, form in FORMS.items() if re.search(pattern, code)), ANY_FORM)


@contextmanager
def watching_sizes() -> Iterator[BakedSizes]:
    """While active, note where traced sizes become constants."""
    found = BakedSizes()
    methods = {name: getattr(SymNode, name) for name in (*TAKING_A_VALUE, DECIDING)}
    for name, method in methods.items():
        decides = name == DECIDING
        places = found.branches if decides else found.values
        setattr(SymNode, name, _noting(method, places, directly=decides))
    try:
        yield found
    finally:
        for name, method in methods.items():
            setattr(SymNode, name, method)


def _noting(method: Callable[..., Any], places: dict[Place, None], *, directly: bool) -> Callable[..., Any]:
    def noting(node: SymNode, file: str, line: int) -> Any:
        place = None if node.is_constant() else place_here(directly=directly)
        if place is not None:
            places[place] = None
        return method(node, file, line)

    return noting
