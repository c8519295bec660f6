"""Teacher forcing: the network along an answer that is given, each step fed the word that should have come
before.

The loss of an answer y is sum_i -log p(y_i | y_<i, x); what is behind its end does not count.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.models.decoding.generated import PADDING
from regard.models.decoding.greedy import word_scores
from regard.models.decoding.stepwise import Stepwise, Tensors


def forced(network: Stepwise, target: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of every word at every step, and the alignment, along the target.

    Shape: target int64 (B, T), the inputs -> (B, T, V), (B, T, S).
    """
    return along(network, target, network.encode(*inputs))


def along(network: Stepwise, target: Tensor, memory: Tensors) -> tuple[Tensor, Tensor]:
    """The same from the memory of the inputs."""
    state = network.start(*memory)
    steps = []
    for position, token in enumerate(fed(target).unbind(dim=1)):
        step = network.decode(token, torch.tensor(position, device=token.device), memory, state)
        steps.append(step)
        state = step.state
    return torch.stack([step.logits for step in steps], 1), torch.stack([step.alignment for step in steps], 1)


def fed(target: Tensor) -> Tensor:
    """The word before each of the target's: (B, T) -> (B, T), PADDING before the first."""
    return F.pad(target[:, :-1], (1, 0), value=PADDING)


def answer_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The mean of -log p over the target's words: (B, T, V), (B, T) -> ()."""
    scores = word_scores(logits.flatten(0, 1))
    return F.nll_loss(scores, target.flatten(), ignore_index=PADDING)
