"""Requests that must be refused: the same ones in each run, drawn from a seed.

Each is wrong by construction, so that an answer to it is a wrong answer. Their models are those of models.py.
"""

import random
from collections.abc import Callable, Iterator

from tests.faults import malformed_grpc, malformed_http
from tests.faults.malformed import Draw, Malformed

KINDS: tuple[Callable[[Draw], Malformed], ...] = (*malformed_http.KINDS, *malformed_grpc.KINDS)


def malformed(count: int, *, gateway: bool = False, seed: int = 0) -> Iterator[Malformed]:
    """So many, of each kind in turn. gateway: with what a Triton that has none does not live through."""
    kinds = (*KINDS, malformed_grpc.wild_shape) if gateway else KINDS
    draw = random.Random(seed)
    for index in range(count):
        yield kinds[index % len(kinds)](draw)
