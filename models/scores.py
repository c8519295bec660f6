"""The answer in what a network returns: one tensor of scores, or what it generated word by word."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regard.errors import ExportError
from regard.models.decoding.generated import Generated

# what libraries call the scores beside other tensors: torchvision "out", transformers "logits"
NAMES = ("out", "logits")


def answer_in(output: Any) -> Tensor | Generated:
    """The answer: words that were generated, as they are, or the scores.

    Raises:
        ExportError: as of `scores_in`.
    """
    return output if isinstance(output, Generated) else scores_in(output)


def scores_in(output: Any) -> Tensor:
    """The scores: the tensor itself, the only one of a tuple, list or mapping, or the one entry or attribute
    that has a name of NAMES.

    Raises:
        ExportError: there are several candidates, or none.
    """
    if isinstance(output, Tensor):
        return output
    entries = _entries(output)
    named = [name for name in NAMES if isinstance(entries.get(name), Tensor)]
    if len(named) == 1:
        found: Tensor = entries[named[0]]
        return found
    if len(entries) == 1:
        return scores_in(next(iter(entries.values())))
    tensors = ", ".join(f"{name} {_shape(value)}" for name, value in entries.items())
    raise ExportError(
        "the network must return one tensor of logits, the only entry of a tuple or dict, or one named "
        f"{' or '.join(map(repr, NAMES))}; it returns {type(output).__name__} "
        f"({tensors or 'without entries'}): wrap it in a module that returns the one that is meant"
    )


def _entries(output: Any) -> dict[str, Any]:
    """What an output holds, by name or position, without what is None."""
    if isinstance(output, tuple) and (fields := getattr(output, "_fields", None)):
        output = dict(zip(fields, output, strict=True))
    if isinstance(output, Sequence) and not isinstance(output, str):
        output = {str(index): value for index, value in enumerate(output)}
    if not isinstance(output, Mapping):
        output = getattr(output, "__dict__", {})
    return {str(name): value for name, value in output.items() if value is not None}


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
