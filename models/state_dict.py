"""Where in a checkpoint the weights are.

Training scripts wrap a state dict in others, `{"model": ..., "optimizer": ..., "epoch": 3}`. Which one is
meant is found out and told, and never guessed: where two would do, the caller names one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from torch import Tensor

from regard.errors import InvalidWeights

State = Mapping[str, Tensor]
DEEPEST = 2  # mappings around a state dict
SHOWN = 4  # names in a message


@dataclass(frozen=True)
class Found:
    """A state dict, and its place in the file: "" for the whole, "model" or "ema.module" inside."""

    state: State
    place: str


def find_state_dict(content: object, key: str | None = None, *, source: str) -> Found:
    """The state dict in what a file holds.

    Args:
        content: of the file.
        key: the place to take: the name of a mapping, or what begins the names of tensors; with dots where
            there are several levels. Found out where None.
        source: the file, for messages.

    Raises:
        InvalidWeights: there is none, or several and no key, or none at the key.
    """
    places = _places(content)
    if key is not None:
        inside = [_under(content, place) for place in places if place] if len(places) == 1 else []
        for start in (content, *inside):
            if (below := _under(start, key)) is not None:
                found = find_state_dict(below, source=f"{source} at {key}")
                return Found(found.state, f"{key}.{found.place}".rstrip("."))
        raise InvalidWeights(
            f"{source} holds nothing under the key {key!r}; its state dicts: {', '.join(places) or 'none'}"
        )
    if not places:
        held = f"; it holds {shown(map(str, content))}" if isinstance(content, Mapping) and content else ""
        raise InvalidWeights(f"{source} holds no state dict (a mapping of names to tensors){held}")
    if len(places) > 1:
        raise InvalidWeights(f"{source} holds several state dicts, {', '.join(places)}; name one as the key")
    state = _under(content, places[0])
    assert _is_state(state)
    return Found(state, places[0])


def shown(names: Iterable[str]) -> str:
    """The first of the names, for a message."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _places(content: object, depth: int = 0) -> list[str]:
    """The places of all state dicts in it, "" where it is one itself; inside, of those with a matrix, which
    metrics lack.
    """
    if _is_state(content) and (depth == 0 or any(value.ndim > 1 for value in content.values())):
        return [""]
    if not isinstance(content, Mapping) or depth == DEEPEST:
        return []
    return [
        f"{name}.{place}".rstrip(".")
        for name, value in content.items()
        if isinstance(name, str)
        for place in _places(value, depth + 1)
    ]


def _is_state(content: object) -> TypeGuard[State]:
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )


def _under(content: object, key: str) -> object | None:
    """What lies under a key: a value, or the tensors whose names it begins, without it; None for nothing."""
    if not key:
        return content
    if not isinstance(content, Mapping):
        return None
    for name, value in content.items():
        if key == name or (isinstance(value, Mapping) and key.startswith(f"{name}.")):
            return _under(value, key.removeprefix(name).removeprefix("."))
    start = f"{key}."
    below = {str(name).removeprefix(start): content[name] for name in content if str(name).startswith(start)}
    return below or None
