"""Teacher forcing: along its own answer a network says what it said."""

import pytest
import torch
from tests.models.decoding.toy import log_probabilities, sources, toy

from regard.models.decoding.forcing import answer_loss, fed, forced
from regard.models.decoding.generated import PADDING
from regard.models.decoding.greedy import greedy, word_scores


def test_along_its_own_answer_a_network_says_what_it_said():
    network, batch = toy(), sources(5, 4)
    found = greedy(network, batch)
    logits, alignment = forced(network, found.tokens, batch)
    said = found.tokens != PADDING
    scores = word_scores(logits.flatten(0, 1)).view(logits.shape)
    assert torch.equal(scores.argmax(dim=2)[said], found.tokens[said])
    assert torch.allclose(scores.amax(dim=2)[said], found.log_probabilities[said])
    assert torch.allclose(alignment[said], found.alignment[said])


def test_the_loss_is_the_mean_over_the_words():
    network, batch = toy(), sources(2, 4)
    target = torch.tensor([[3, 5, 2, 0], [1, 2, 0, 0]])
    expected = [
        each
        for source, answer in zip(batch, ([3, 5, 2], [1, 2]), strict=True)
        for each in log_probabilities(network, source, answer)
    ]
    loss = answer_loss(forced(network, target, batch)[0], target)
    assert loss.item() == pytest.approx(-sum(expected) / 5, abs=1e-9)


def test_each_step_is_fed_the_word_before():
    assert fed(torch.tensor([[3, 5, 1]])).tolist() == [[PADDING, 3, 5]]
