"""How work tells that it goes on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[], None]
# a stage in words and how many steps it has -> what is called after each
Progress = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def silent(stage: str, steps: int) -> Iterator[Advance]:
    """Tell nobody."""
    yield lambda: None
