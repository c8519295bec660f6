"""What a server does only after a while: sequences that were left, and more of them than it lets run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

NOTHING = np.zeros((1, 1), np.float32)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(in_stub: Callable[[str], Any], clock: Clock) -> Any:
    """Of sequences that are idle after ten seconds, of which three may run."""
    return in_stub("session_state").Memory(10.0, 3, clock)


def keep(memory: Any, sequence: int | str, value: float = 0.0) -> None:
    memory.keep(sequence, {"memory": NOTHING + value}, {"image": (8, 8, 3)})


def test_a_sequence_has_its_last_steps_state(memory: Any) -> None:
    keep(memory, 1, 1.0)
    keep(memory, "one", 2.0)
    keep(memory, 1, 3.0)
    assert memory.of(1).states["memory"] == 3
    assert memory.of("one").states["memory"] == 2
    memory.forget(1)
    assert memory.of(1) is None
    memory.forget(1)


def test_what_rests_longer_than_triton_waits_is_dropped(memory: Any, clock: Clock) -> None:
    """Twice the time: Triton counts from a step's arrival, which may be well before it is computed."""
    keep(memory, 1)
    clock.now += 15
    keep(memory, 2)
    assert memory.of(1) is not None
    clock.now += 6
    assert memory.of(1) is None
    assert len(memory) == 1
    clock.now += 15
    assert memory.of(3) is None
    assert len(memory) == 0


def test_never_more_than_may_run(memory: Any) -> None:
    """The one that rested longest goes."""
    for sequence in (1, 2, 3, 1, 4):
        keep(memory, sequence)
    assert memory.of(2) is None
    assert all(memory.of(sequence) is not None for sequence in (1, 3, 4))
