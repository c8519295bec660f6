"""MemN2N: the paper's equations one sentence at a time, hops that build on each other, and two facts."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from regard.errors import InvalidInput
from regard.models.catalog import CATALOG, build
from regard.models.networks.memn2n import MemN2N
from regard.models.training.families import stories
from regard.models.training.families.language import MEMN2N, fit_stories, right_answers, stories_batch

SMALL = CATALOG["memn2n"].small


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = build("memn2n", **SMALL).double().eval()
    for memory in module.memories:  # as if trained
        nn.init.normal_(memory.words.weight, std=0.3)
        nn.init.normal_(memory.ages.weight, std=0.3)
    return module


@pytest.fixture
def story():
    return torch.tensor([[[3, 7, 12, 5], [8, 4, 0, 0], [9, 0, 0, 0]], [[6, 2, 3, 0], [0] * 4, [0] * 4]])


@pytest.fixture
def question():
    return torch.tensor([[13, 4, 5], [11, 0, 0]])


def naive(network, story, question):
    """Scores and p of every hop: lists of sentences and words -> (K,), (hops, S)."""
    tables = [
        (memory.words.weight.detach().numpy(), memory.ages.weight.detach().numpy())
        for memory in network.memories
    ]

    def sentence(words, table):
        found, d, length = np.zeros(table.shape[1]), table.shape[1], len(words)
        for j, word in enumerate(words, start=1):
            for k in range(1, d + 1):
                order = 1 + 4 * (k - (d + 1) / 2) * (j - (length + 1) / 2) / (d * length)
                found[k - 1] += order * table[word, k - 1]
        return found

    u = sentence(question, tables[0][0])
    hops = []
    for a, c in pairwise(tables):
        newest_first = list(reversed(story))
        m, o = (
            [sentence(words, table) + ages[age] for age, words in enumerate(newest_first)][::-1]
            for table, ages in (a, c)
        )
        weights = np.exp([u @ each for each in m])
        hops.append(weights / weights.sum())
        u = u + sum(p * each for p, each in zip(hops[-1], o, strict=True))
    return tables[-1][0][1 : 1 + SMALL["num_classes"]] @ u, np.array(hops)


def test_equations(network, story, question):
    with torch.no_grad():
        scores, explained = network.explained(story, question)
    for i, (told, asked) in enumerate(zip(story.tolist(), question.tolist(), strict=True)):
        sentences = [[word for word in words if word] for words in told if any(words)]
        expected, hops = naive(network, sentences, [word for word in asked if word])
        assert np.allclose(scores[i], expected, atol=1e-10)
        assert np.allclose(explained["hops"][i, :, : len(sentences)], hops, atol=1e-12)
        assert (explained["hops"][i, :, len(sentences) :] == 0).all()


def test_padding_changes_nothing(network, story, question):
    padded = nn.functional.pad(story, (0, 2, 0, 3)), nn.functional.pad(question, (0, 2))
    assert torch.allclose(network(story, question), network(*padded), atol=1e-12)


@pytest.mark.parametrize("hop", [0, 1, 2])
def test_a_hop_reads_its_two_memories(network, story, question, hop):
    """Memory k says where hop k looks, memory k + 1 what it finds there, which later hops see."""
    before = network.explained(story, question)[1]["hops"]
    network.memories[hop + 1].words.weight.data.mul_(1.5)
    after = network.explained(story, question)[1]["hops"]
    moved = (before - after).abs().amax(dim=(0, 2))
    assert (moved[: hop + 1] == 0).all()
    assert (moved[hop + 1 :] > 1e-6).all()


def test_the_order_of_words_and_of_sentences_counts(network, story, question):
    scores = network(story, question)[0]
    words, sentences = story.clone(), story.clone()
    words[0, 0] = words[0, 0].flip(0)
    sentences[0] = sentences[0].flip(0)
    assert not torch.allclose(network(words, question)[0], scores)
    assert not torch.allclose(network(sentences, question)[0], scores)


def test_layers_are_tied_as_the_paper_ties_them(network):
    """K hops have K + 1 matrices in all, the answer's and the question's among them."""
    names = {name.split(".", 2)[2] for name, _ in network.named_parameters()}
    assert names == {"words.weight", "ages.weight"}
    assert len(network.memories) == 4


@pytest.mark.slow
def test_two_facts_need_two_hops():
    found, training = {}, stories_batch(stories.stories(4000, 0, held_out=False))
    for hops in (1, 2):
        torch.manual_seed(0)
        network = MemN2N(**MEMN2N | {"hops": hops})
        fit_stories(network, training, epochs=8, linear_epochs=4, seed=0)
        found[hops] = right_answers(network)["top1"]
    assert found[1] < 0.6
    assert found[2] > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_classes": 20}, "below words, got 20 and 20"), ({"hops": 0}, "hops must be at least 1, got 0")],
)
def test_refuses(options, message):
    with pytest.raises(InvalidInput, match=message):
        build("memn2n", **SMALL | options)
