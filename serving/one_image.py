"""What asks a model for images one by one, and so is for models of one image and of no state."""

from collections.abc import Collection

from regard.contract.card import Card
from regard.contract.names import Task
from regard.errors import InvalidInput


def check_one_image(
    card: Card, what: str, *, tasks: Collection[Task] = ("classification", "segmentation"), instead: str
) -> None:
    """Refuse a model that takes more than one image, keeps a state, or is for another task.

    Args:
        card: the model's.
        what: that it is asked for, as "tuning" or "a batch".
        tasks: that it may be for.
        instead: what to do with other models, as a clause.

    Raises:
        InvalidInput: it is none of those.
    """
    alone = [each.kind for each in card.inputs] == ["image"]
    if alone and card.state is None and card.task in tasks:
        return
    taken = " and ".join(each.tensor for each in card.inputs)
    kept = ", and keeps a state from one to the next" if card.state is not None else ""
    raise InvalidInput(
        f"{what} is for models of one image without a state, for {' or '.join(tasks)}; {card.name} is for "
        f"{card.task}, takes {taken}{kept}: {instead}"
    )
