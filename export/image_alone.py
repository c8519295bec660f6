"""What takes a network of an image alone: others are refused."""

from regard.contract.card import Card
from regard.errors import InvalidInput


def check_image_alone(card: Card, what: str) -> None:
    """Refuse a network of other inputs than an image, or with a state.

    what: is for those alone, and what to do with others, as a clause.

    Raises:
        InvalidInput: it takes others, or carries a state.
    """
    if card.image_alone:
        return
    taken = " and ".join(each.tensor for each in card.inputs)
    raise InvalidInput(f"{card.name} {'carries a state' if card.state else f'takes {taken}'}: {what}")
