"""Inputs of a Card, as its network takes them."""

import torch
from torch import Tensor

from regard.contract.card import Card
from regard.contract.inputs import FramesInput, Input, TokensInput

SENTENCES = 3  # of a story


def examples(card: Card, *, count: int = 2, seed: int = 0) -> tuple[Tensor, ...]:
    """A batch for each input: normalised pixels, and words, fewer than fit where there is room."""
    random = torch.Generator().manual_seed(seed)
    return tuple(_example(each, count, random) for each in card.inputs)


def _example(taken: Input, count: int, random: torch.Generator) -> Tensor:
    if isinstance(taken, TokensInput):
        shape = [max(1, min(taken.longest - 2, 6))]
        if taken.sentences is not None:
            shape.insert(0, max(1, min(taken.sentences - 1, SENTENCES)))
        least = len({taken.padding, taken.unknown, taken.end} - {None})  # the first that is a plain word
        return torch.randint(least, len(taken.vocabulary), (count, *shape), generator=random)
    frames = [taken.frames] if isinstance(taken, FramesInput) else []
    return torch.randn(count, *frames, taken.channels, taken.height, taken.width, generator=random)
