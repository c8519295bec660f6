"""Greedy search: against one written out, and the Loop that it becomes."""

import pytest
import torch
from tests.models.decoding.toy import log_probabilities, sources, toy

from regard.models.decoding.generated import END, PADDING
from regard.models.decoding.greedy import greedy


def likeliest_words(network, source):
    answer = []
    while len(answer) < network.longest and END not in answer:
        tried = [log_probabilities(network, source, [*answer, word])[-1] for word in range(1, network.words)]
        answer.append(1 + max(range(len(tried)), key=tried.__getitem__))
    return answer


@pytest.mark.parametrize("seed", range(3))
def test_says_the_likeliest_word_at_every_step(seed):
    network, batch = toy(seed), sources(4, 5, seed=seed)
    found = greedy(network, batch)
    for source, tokens, scores in zip(batch, found.tokens.tolist(), found.log_probabilities, strict=True):
        answer = likeliest_words(network, source)
        behind = network.longest - len(answer)
        assert tokens == answer + [PADDING] * behind
        expected = torch.tensor(
            log_probabilities(network, source, answer) + [0.0] * behind, dtype=torch.float64
        )
        assert torch.allclose(scores, expected, atol=1e-12, rtol=0)


def test_alignment_sums_to_one_on_the_answer_and_zero_behind():
    found = greedy(toy(), sources(6, 5))
    assert torch.allclose(found.alignment.sum(dim=2), (found.tokens != PADDING).double())
    assert (found.tokens == PADDING).any(), "no answer ended early: the test shows nothing"


def test_stops_when_all_have_ended():
    network, steps = toy(), []
    decode = network.decode
    network.decode = lambda *given: steps.append(1) or decode(*given)
    found = greedy(network, sources(1, 1, seed=1))
    assert len(steps) == (found.tokens != PADDING).sum() < network.longest


def test_never_says_padding():
    network = toy()
    torch.nn.init.constant_(network.out.bias[PADDING : PADDING + 1], 100)
    found = greedy(network, sources(4, 5))
    first = found.tokens[:, 0]
    assert (first != PADDING).all()
    assert (found.log_probabilities[:, 0] > -10).all(), "padding took part of the probability"


@pytest.mark.parametrize("length", [1, 9])
def test_padding_changes_nothing(length):
    network, batch = toy(), sources(3, 4)
    plain = greedy(network, batch)
    padded = greedy(network, torch.nn.functional.pad(batch, (0, length)))
    assert torch.equal(plain.tokens, padded.tokens)
    assert torch.allclose(plain.alignment, padded.alignment[:, :, :4])
