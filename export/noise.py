"""Inputs of a Card at random, as they enter its network: what it is run on once, before anything is real."""

import torch
from torch import Tensor

from regard.contract.card import Card
from regard.contract.inputs import FramesInput, Input, TokensInput


def noise_of(card: Card) -> list[Tensor]:
    """One row of each input, of the Card's size and as many words as it takes, always the same."""
    random = torch.Generator().manual_seed(0)
    return [_noise(each, random) for each in card.inputs]


def _noise(contract: Input, random: torch.Generator) -> Tensor:
    if isinstance(contract, TokensInput):
        sentences = () if contract.sentences is None else (contract.sentences,)
        words = len(contract.vocabulary)
        tokens = torch.randint(1, words, (1, *sentences, contract.longest), generator=random)
        tokens[..., 0] = words - 1  # which is more than a network of another vocabulary knows
        return tokens
    frames = (contract.frames,) if isinstance(contract, FramesInput) else ()
    shape = (1, *frames, contract.channels, contract.height, contract.width)
    return torch.rand(shape, generator=random)
