"""Beam search: against every answer tried, and its limits."""

import pytest
import torch
from tests.models.decoding.toy import every_answer, log_probabilities, sources, toy

from regard.models.decoding.beam import beam
from regard.models.decoding.generated import PADDING
from regard.models.decoding.greedy import greedy


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy_search(seed):
    network, batch = toy(seed), sources(5, 4, seed=seed)
    for one, other in zip(beam(network, batch, beams=1), greedy(network, batch), strict=True):
        assert torch.allclose(one, other, atol=1e-12, rtol=0)


# three words leave one unfinished answer of each length; of two steps the first prunes nothing
@pytest.mark.parametrize(("words", "longest"), [(3, 6), (6, 2)])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_full_beam_finds_the_best_of_all_answers(words, longest, length_penalty, seed):
    network, batch = toy(seed, words=words, longest=longest), sources(2, 3, words=words, seed=seed)
    found = beam(network, batch, beams=words - 1, length_penalty=length_penalty)
    for source, tokens, scores in zip(batch, found.tokens.tolist(), found.log_probabilities, strict=True):

        def score(answer, source=source):
            return sum(log_probabilities(network, source, answer)) / ((5 + len(answer)) / 6) ** length_penalty

        best = max(every_answer(words, longest), key=score)
        assert tokens == best + [PADDING] * (longest - len(best))
        expected = log_probabilities(network, source, best)
        assert scores.tolist() == pytest.approx(expected + [0.0] * (longest - len(best)), abs=1e-9)


def test_a_beam_finds_likelier_answers_than_greedy_search():
    network, batch = toy(1), sources(40, 5)
    one, several = (
        beam(network, batch, beams=beams, length_penalty=0).log_probabilities.sum(dim=1) for beams in (1, 8)
    )
    assert (several > one + 1e-6).any()
    assert several.mean() > one.mean()


def test_a_larger_penalty_gives_longer_answers():
    network, batch = toy(), sources(20, 5)
    short, long = (
        (beam(network, batch, beams=4, length_penalty=alpha).tokens != PADDING).sum() for alpha in (0, 3)
    )
    assert long > short


def test_the_alignment_is_that_of_the_answer():
    """Not of the answers that stood in its place on the way."""
    network, batch = toy(1), sources(6, 5)
    found = beam(network, batch, beams=4)
    memory = network.encode(batch)
    state, token = network.start(*memory), torch.zeros(6, dtype=torch.int64)
    for i in range(network.longest):
        _, state, weights = network.decode(token, torch.tensor(i), memory, state)
        token = found.tokens[:, i]
        assert torch.allclose(found.alignment[:, i], weights * (token != PADDING).unsqueeze(1), atol=1e-12)


@pytest.mark.parametrize(
    ("beams", "message"),
    [(0, "at least 1, got 0"), (9, "a beam of 9 is larger than the vocabulary")],
)
def test_refuses_beams(beams, message):
    with pytest.raises(ValueError, match=message):
        beam(toy(), sources(1, 2), beams=beams)
