"""Beam search: several answers side by side, of which the likeliest per length is given.

Sutskever, Vinyals & Le, "Sequence to Sequence Learning with Neural Networks", NeurIPS 2014, section 3.2.
https://arxiv.org/abs/1409.3215. Length penalty: Wu et al., "Google's Neural Machine Translation System",
2016, eq. 14. https://arxiv.org/abs/1609.08144

    s(y) = log p(y | x) / lp(|y|),   lp(l) = ((5 + l) / 6)^alpha

Each step keeps the K best by s among the answers that have ended, which stay as they are, and those that have
not, each longer by every word. The search stops where all K have ended. K = 1 is greedy search.

The exported Loop carries, in this order: position (), finished (B, K), tokens (B, K, longest),
log_probabilities (B, K, longest), alignment (B, K, longest, S), total (B, K), length (B, K), token (B K,),
then the network's state, of B K rows.
"""

import torch
from torch import Tensor

from regard.models.decoding.generated import END, PADDING, Generated
from regard.models.decoding.greedy import word_scores
from regard.models.decoding.stepwise import Stepwise
from regard.models.decoding.until import Carried, repeat_while


def beam(network: Stepwise, *inputs: Tensor, beams: int, length_penalty: float = 0.6) -> Generated:
    """The best answer found to each of a batch of inputs.

    Args:
        beams: K.
        length_penalty: alpha; 0 compares answers by their probability alone, which favours short ones.

    Raises:
        ValueError: no beams, or more than there are words to begin with.
    """
    check_beams(beams, network.words)
    memory = tuple(each.repeat_interleave(beams, dim=0) for each in network.encode(*inputs))
    places = memory[0].shape[1]
    longest, words = network.longest, network.words
    blank = memory[0].new_zeros((memory[0].shape[0], longest)).view(-1, beams, longest)
    batch = blank.shape[0]
    none = torch.zeros_like(blank[:, :, 0], dtype=torch.int64)
    positions = torch.arange(longest, device=blank.device)
    first = torch.arange(beams, device=blank.device) == 0
    # a word that an ended answer can go on with: padding, which costs nothing
    ended = torch.where(torch.arange(words, device=blank.device) == PADDING, 0.0, -torch.inf)

    def unfinished(position: Tensor, finished: Tensor, *rest: Tensor) -> Tensor:
        return (position < longest) & ~finished.all()

    def step(
        position: Tensor,
        finished: Tensor,
        tokens: Tensor,
        log_probabilities: Tensor,
        alignment: Tensor,
        total: Tensor,
        length: Tensor,
        token: Tensor,
        *state: Tensor,
    ) -> Carried:
        logits, state, weights = network.decode(token, position, memory, state)
        scores = torch.where(finished.unsqueeze(2), ended, word_scores(logits).view(-1, beams, words))
        weights = weights.view(-1, beams, places).masked_fill(finished.unsqueeze(2), 0)
        length = length + ~finished
        ranked = (total.unsqueeze(2) + scores) / _penalty(length, length_penalty).unsqueeze(2)  # (B, K, V)
        best = ranked.flatten(1).topk(beams, dim=1).indices  # (B, K)
        parent, token = torch.div(best, words, rounding_mode="floor"), best % words
        score = scores.flatten(1).gather(1, best)
        finished = finished.gather(1, parent)
        here = positions == position  # (longest,)
        rows = (parent + beams * torch.arange(batch, device=parent.device).unsqueeze(1)).flatten()  # (B K,)
        return (
            position + 1,
            finished | (token == END),
            torch.where(here, token.unsqueeze(2), _of(tokens, rows)),
            torch.where(here, score.unsqueeze(2), _of(log_probabilities, rows)),
            torch.where(here.unsqueeze(1), _of(weights, rows).unsqueeze(2), _of(alignment, rows)),
            total.gather(1, parent) + score,
            length.gather(1, parent),
            token.flatten(),
            *(each.index_select(0, rows) for each in state),
        )

    carried = (
        positions.new_zeros(()),
        torch.zeros_like(none, dtype=torch.bool),
        torch.zeros_like(blank, dtype=torch.int64),
        blank,
        blank.new_zeros((batch, beams, longest, places)),
        # at first all are the same answer, which must not be there K times
        torch.where(first, 0.0, -torch.inf).to(blank.dtype).expand(batch, -1).clone(),
        torch.zeros_like(none),
        none.flatten(),
        *network.start(*memory),
    )
    _, _, tokens, log_probabilities, alignment, *_ = repeat_while(unfinished, step, carried)
    return Generated(tokens[:, 0], log_probabilities[:, 0], alignment[:, 0])


def check_beams(beams: int, words: int) -> None:
    """Refuse a number of beams that a vocabulary of `words`, padding included, cannot fill, with a
    ValueError.
    """
    if beams < 1:
        raise ValueError(f"beams must be at least 1, got {beams}; 1 is greedy search")
    if beams > words - 1:
        raise ValueError(
            f"a beam of {beams} is larger than the vocabulary, which has {words - 1} words besides padding; "
            f"take at most {words - 1} beams"
        )


def _penalty(length: Tensor, alpha: float) -> Tensor:
    return ((5 + length) / 6) ** alpha


def _of(carried: Tensor, rows: Tensor) -> Tensor:
    """What each answer has of the one that it goes on from: (B, K, ...) -> (B, K, ...)."""
    return carried.flatten(0, 1).index_select(0, rows).view(carried.shape)
