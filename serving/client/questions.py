"""What a user gives for a model's inputs, as an item for each question: an entry for each input of the Card.

A value is one entry or several; beside several, one entry goes with all of them, such as one image with many
questions.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from regard.contract.card import Card
from regard.contract.inputs import FramesInput, Input, TokensInput
from regard.errors import InvalidInput
from regard.serving.client import clips, images, texts
from regard.serving.client.items import Item, Part, Refused, Several


class Given:
    """The values for the inputs of a model, whose Card says how they are read."""

    def __init__(self, *in_order: Any, **by_name: Any) -> None:
        self._in_order, self._by_name = in_order, by_name

    @classmethod
    def of(cls, inputs: Any) -> "Given":
        """The value of the only input, or a mapping of values by the inputs' names."""
        return cls(**inputs) if isinstance(inputs, Mapping) else cls(inputs)

    @property
    def stream(self) -> bool:
        """Whether entries are drawn one by one from an iterator, and the results with them."""
        return any(map(images.is_stream, (*self._in_order, *self._by_name.values())))

    def questions(self, card: Card) -> Iterator[Item]:
        """An item for each question, drawn when its turn comes; Refused where it cannot be asked.

        Raises:
            InvalidInput: an input lacks, or is none of the model's; or several entries of one input beside
                another number of another's.
        """
        values = self._values_for(card)
        columns = [entries(value, kind) for value, kind in zip(values, card.inputs, strict=True)]
        if len(columns) == 1:
            yield from columns[0]
            return
        alone = [is_one(value, kind) for value, kind in zip(values, card.inputs, strict=True)]
        for row in _rows(columns, alone):
            if None in row:
                names = " and ".join(kind.tensor for kind in card.inputs)
                raise InvalidInput(f"{names} have different numbers of entries: give as many of each, or one")
            yield _question(row)

    def _values_for(self, card: Card) -> list[Any]:
        names = [kind.tensor for kind in card.inputs]
        values = dict(zip(names, self._in_order, strict=False)) or self._by_name
        if values.keys() != set(names) or len(self._in_order) > len(names):
            got = ", ".join(self._by_name) or f"{len(self._in_order)} without a name"
            shown = ", ".join(f"{name!r}: ..." for name in names)
            raise InvalidInput(
                f"{card.name!r} takes {' and '.join(names)}, got {got}: give "
                + (f"each by its name, {{{shown}}}" if len(names) > 1 else f"the {names[0]} alone")
            )
        return [values[name] for name in names]


def entries(value: Any, kind: Input) -> Iterator[Part | Refused]:
    """The entries of one input, in their order.

    Raises:
        InvalidInput: the value is no entry of this kind, nor several.
    """
    match kind:
        case TokensInput():
            return texts.entries(value, kind)
        case FramesInput():
            return clips.entries(value, kind)
        case _:
            return images.items(value)


def is_one(value: Any, kind: Input) -> bool:
    """Whether a value is one entry."""
    match kind:
        case TokensInput():
            return isinstance(value, str)
        case FramesInput():
            return clips.is_one(value)
        case _:
            return images.is_one(value)


def _rows(
    columns: Sequence[Iterator[Part | Refused]], alone: Sequence[bool]
) -> Iterator[tuple[Part | Refused | None, ...]]:
    """An entry of each column; one that is alone in each row. None where a column has ended too early."""
    fixed = [next(column) if one else None for column, one in zip(columns, alone, strict=True)]
    if all(alone):
        yield tuple(fixed)
        return
    for row in zip_longest(*(column for column, one in zip(columns, alone, strict=True) if not one)):
        drawn = iter(row)
        yield tuple(entry if one else next(drawn) for entry, one in zip(fixed, alone, strict=True))


def _question(row: tuple[Part | Refused | None, ...]) -> Several | Refused:
    refused = next((each for each in row if isinstance(each, Refused)), None)
    return refused or Several(tuple(part for part in row if isinstance(part, Part)))
