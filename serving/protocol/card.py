"""The Card of a served model: its configuration carries it."""

from collections.abc import Mapping
from typing import Any

from regard.contract.card import Card
from regard.contract.names import CARD_PARAMETER
from regard.contract.reading import card_from_json
from regard.errors import InvalidInput


def served_card(config: Mapping[str, Any], model: str) -> Card:
    """The Card in a model's configuration.

    Raises:
        InvalidInput: it has none, or not a good one.
    """
    text = config.get("parameters", {}).get(CARD_PARAMETER, {}).get("string_value")
    if not text:
        raise InvalidInput(
            f"model {model!r} has no Card in its configuration (parameter 'card'), so its images and labels "
            "are unknown: write it with `regard repo add`, or use infer() with tensors"
        )
    return card_from_json(text, source=f"the Card of model {model!r} on the server")
