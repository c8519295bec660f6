"""Random weights that are the same every time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded() -> Iterator[None]:
    """Build networks inside: PyTorch's random numbers start at seed 0, and go on afterwards as if nothing had
    been drawn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
