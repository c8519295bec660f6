"""Greedy search: the likeliest word at every step, until every answer of the batch has ended.

    y_i = argmax_y p(y | y_<i, x)

The exported Loop carries, in this order: position (), finished (B,), tokens (B, longest), log_probabilities
(B, longest), alignment (B, longest, S), token (B,), then the network's state. So the graph before the Loop
computes what a stream of words begins with, and the Loop's body is one step of it: it writes the word at
`position`, and adds 1 to that.
"""

import torch
from torch import Tensor

from regard.models.decoding.generated import END, PADDING, Generated
from regard.models.decoding.stepwise import Stepwise
from regard.models.decoding.until import Carried, repeat_while


def greedy(network: Stepwise, *inputs: Tensor) -> Generated:
    """The network's answer to a batch of inputs."""
    memory = network.encode(*inputs)
    batch, places = memory[0].shape[:2]
    longest = network.longest
    blank = memory[0].new_zeros((batch, longest))
    none = torch.zeros_like(blank[:, 0], dtype=torch.int64)
    positions = torch.arange(longest, device=blank.device)

    def unfinished(position: Tensor, finished: Tensor, *rest: Tensor) -> Tensor:
        return (position < longest) & ~finished.all()

    def step(
        position: Tensor,
        finished: Tensor,
        tokens: Tensor,
        log_probabilities: Tensor,
        alignment: Tensor,
        token: Tensor,
        *state: Tensor,
    ) -> Carried:
        logits, state, weights = network.decode(token, position, memory, state)
        scores = word_scores(logits)
        token = scores.argmax(dim=1).masked_fill(finished, PADDING)
        score = scores.amax(dim=1).masked_fill(finished, 0)
        weights = weights.masked_fill(finished.unsqueeze(1), 0)
        here = positions == position  # (longest,)
        return (
            position + 1,
            finished | (token == END),
            torch.where(here, token.unsqueeze(1), tokens),
            torch.where(here, score.unsqueeze(1), log_probabilities),
            torch.where(here.unsqueeze(1), weights.unsqueeze(1), alignment),
            token,
            *state,
        )

    carried = (
        positions.new_zeros(()),
        torch.zeros_like(none, dtype=torch.bool),
        torch.zeros_like(blank, dtype=torch.int64),
        blank,
        blank.new_zeros((batch, longest, places)),
        none,
        *network.start(*memory),
    )
    _, _, tokens, log_probabilities, alignment, *_ = repeat_while(unfinished, step, carried)
    return Generated(tokens, log_probabilities, alignment)


def word_scores(logits: Tensor) -> Tensor:
    """Log-probabilities among the words that can be said, of which padding is none: (B, V) -> (B, V)."""
    padding = torch.arange(logits.shape[1], device=logits.device) == PADDING
    return logits.masked_fill(padding, -torch.inf).log_softmax(dim=1)
