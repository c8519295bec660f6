"""The state of a network: its tensors, and each rule broken once."""

from typing import Any

import pytest
from pydantic import ValidationError

from regard.contract.state import State, StateTensor

KEYS = StateTensor(name="keys", dims=(8, -1, -1))


def test_a_session_begins_with_one_place_of_what_follows_the_image() -> None:
    assert KEYS.initial_dims == (8, 1, 1)
    assert KEYS.next == "next_keys"
    assert State(tensors=(KEYS,)).idle_seconds == 60


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tensors": ()}, "tensors"),
        ({"tensors": (KEYS, KEYS)}, "the state's name 'keys' is taken"),
        ({"tensors": (KEYS, StateTensor(name="next_keys", dims=(1,)))}, "'next_keys' is taken"),
        ({"tensors": (KEYS,), "idle_seconds": 0}, "idle_seconds"),
        ({"tensors": (KEYS,), "idle_seconds": float("inf")}, "idle_seconds"),
    ],
)
def test_each_rule(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        State(**fields)


@pytest.mark.parametrize("dims", [(), (0,), (8, -2)])
def test_dims(dims: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="dims"):
        StateTensor(name="keys", dims=dims)


@pytest.mark.parametrize("name", ["", "Keys", "a b", "../up", "1st"])
def test_names(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        StateTensor(name=name, dims=(1,))
