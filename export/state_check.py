"""A Card must say what its network carries from step to step."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from regard.contract.card import Card
from regard.errors import InvalidInput


def stepped(network: nn.Module, card: Card, inputs: Sequence[Tensor]) -> Any:
    """What the network answers to the first step of a session, its state held against the Card.

    Raises:
        InvalidInput: it has no such methods, or another state than the Card says.
    """
    stepping: Any = network
    missing = [name for name in ("initial_state", "step") if not callable(getattr(network, name, None))]
    if missing:
        raise InvalidInput(
            f"the Card of {card.name} has a state, and the network no {' and no '.join(missing)}: give it "
            "initial_state(x) -> (*state,) and step(x, *state) -> (scores, *state), or leave the state out"
        )
    initial = stepping.initial_state(*inputs)
    returned, *following = stepping.step(*inputs, *initial)
    for what, state in (("initial_state", initial), ("step", following)):
        _check(what, state, card)
    for each, before, after in zip(_names(card), initial, following, strict=True):
        if before.shape != after.shape:
            raise InvalidInput(
                f"step of {card.name} changes the shape of {each} from {tuple(before.shape)} to "
                f"{tuple(after.shape)}; a state keeps its shape from step to step"
            )
    return returned


def _names(card: Card) -> list[str]:
    assert card.state is not None
    return card.state.names


def _check(what: str, state: Sequence[Tensor], card: Card) -> None:
    assert card.state is not None
    tensors = card.state.tensors
    found = [tuple(each.shape[1:]) for each in state]
    fits = len(found) == len(tensors) and all(
        len(dims) == len(each.dims)
        and all(want in (-1, got) for want, got in zip(each.dims, dims, strict=True))
        for dims, each in zip(found, tensors, strict=True)
    )
    if not fits:
        said = ", ".join(f"{each.name} {each.dims}" for each in tensors)
        raise InvalidInput(
            f"{what} of {card.name} gives a state of {', '.join(map(str, found))}, its Card says {said}, "
            "both without the batch; correct the Card's state"
        )
