"""The Card that lies beside weights, and the options that it brings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.contract.answers.labelled import Labelled
from regard.contract.card import Card
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput
from regard.models.options import CLASSES, agreed, split_options, with_classes


def card_beside(weights: Path | None) -> Card | None:
    """The Card in the JSON file of the weights' stem, `w.json` for `w.pth.tar` too, if there is one."""
    if weights is None:
        return None
    beside = weights.with_name(weights.name.removesuffix(".tar")).with_suffix(".json")
    return card_from_file(beside) if beside.is_file() else None


def with_options(card: Card, name: str, asked: Mapping[str, Any]) -> tuple[Card, dict[str, Any]]:
    """The Card of a network with what is asked for besides recorded in it, and all options to build it with.

    Raises:
        InvalidInput: the Card belongs to another network, or contradicts what is asked for.
    """
    builder, own = split_options(card.origin.builder, card.origin.options)
    if builder != name:
        raise InvalidInput(f"the Card of {card.name} belongs to {builder}, not to {name}; name {builder}")
    counted = {CLASSES: card.answer.scores} if isinstance(card.answer, Labelled) else {}
    said = counted | with_classes(own)
    options = agreed(said, with_classes(asked), by=f"the Card of {card.name}")
    if options != said:
        card = card.updated(origin=card.origin.model_dump() | {"builder": name, "options": options})
    return card, options
