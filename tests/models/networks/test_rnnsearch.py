"""RNNsearch: the paper's equations one word at a time, and alignment that copying teaches."""

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.catalog import CATALOG, build
from regard.models.decoding.forcing import forced
from regard.models.decoding.generated import END, PADDING
from regard.models.networks.rnnsearch import RNNSearch

SMALL = CATALOG["rnnsearch"].small


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = build("rnnsearch", **SMALL).double().eval()
    for parameter in module.parameters():  # as if trained
        nn.init.normal_(parameter, std=0.6)
    for embedding in (module.source, module.target):
        nn.init.zeros_(embedding.weight[PADDING])
    return module


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(p, name, x, h):
    """One step of a GRU whose gates r, z, n lie one below the other, and whose reset follows the matrix."""
    own = [
        np.split(p[f"{name}.weight_{s}"] @ v + p[f"{name}.bias_{s}"], 3) for s, v in (("ih", x), ("hh", h))
    ]
    (rx, zx, nx), (rh, zh, nh) = own
    z = sigmoid(zx + zh)
    return (1 - z) * np.tanh(nx + sigmoid(rx + rh) * nh) + z * h


def naive(network, source, target):
    """log p of every word, and the alignment, along a target: lists of ids -> (T, V), (T, L)."""
    p = {name: value.numpy() for name, value in network.state_dict().items()}
    x = [p["source.weight"][word] for word in source]
    zero = np.zeros(SMALL["hidden"])
    forward, backward = [zero], [zero]
    for word in x:
        forward.append(gru(p, "encoder.left_to_right", word, forward[-1]))
    for word in reversed(x):
        backward.append(gru(p, "encoder.right_to_left", word, backward[-1]))
    h = [np.concatenate(pair) for pair in zip(forward[1:], backward[:0:-1], strict=True)]
    s = np.tanh(p["first_state.weight"] @ backward[-1] + p["first_state.bias"])
    found, alignments = [], []
    for before in [None, *target[:-1]]:
        scores = [
            p["score.v.weight"][0] @ np.tanh(p["score.query.weight"] @ s + p["score.key.weight"] @ each)
            for each in h
        ]
        weights = np.exp(scores) / np.exp(scores).sum()
        context = sum(weight * each for weight, each in zip(weights, h, strict=True))
        word = np.zeros(SMALL["width"]) if before is None else p["target.weight"][before]
        units = p["readout.weight"] @ np.concatenate([s, word, context]) + p["readout.bias"]
        maxout = np.array([max(units[2 * i], units[2 * i + 1]) for i in range(len(units) // 2)])
        found.append(p["out.weight"] @ maxout + p["out.bias"])
        alignments.append(weights)
        s = gru(p, "cell", np.concatenate([word, context]), s)
    return np.array(found), np.array(alignments)


def test_equations(network):
    source, target = [3, 7, 12, 5], [4, 9, 4, END]
    padded = torch.tensor([[*source, PADDING, PADDING]])
    with torch.no_grad():
        logits, alignment = forced(network, torch.tensor([target]), padded)
    expected, weights = naive(network, source, target)
    assert np.allclose(logits[0], expected, atol=1e-10)
    assert np.allclose(alignment[0, :, :4], weights, atol=1e-12)
    assert (alignment[0, :, 4:] == 0).all()


def test_padding_changes_nothing(network):
    source = torch.tensor([[3, 7, 12, 5], [8, 4, 0, 0]])
    plain, padded = network(source), network(nn.functional.pad(source, (0, 3)))
    assert torch.equal(plain.tokens, padded.tokens)
    assert torch.allclose(plain.log_probabilities, padded.log_probabilities, atol=1e-12)
    alone = network(source[1:, :2])
    assert torch.equal(alone.tokens, plain.tokens[1:])


def test_sizes_of_the_paper():
    with torch.device("meta"):
        network = RNNSearch()
    assert network.readout.out_features == 2 * 500
    assert network.score.v.in_features == network.cell.hidden_size == 1000
    assert network.out.in_features == 500


@pytest.mark.slow
def test_copying_teaches_a_diagonal_alignment():
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    network = RNNSearch(words=13, answer_words=13, width=16, hidden=32, maxout=16, longest=6)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)

    def sentences(count):
        words = torch.randint(3, 13, (count, 5), generator=random)
        return torch.cat([words, torch.full((count, 1), END)], dim=1)

    for _ in range(150):
        batch = sentences(32)
        optimizer.zero_grad()
        network.training_loss(batch, batch).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    batch = sentences(100)
    with torch.inference_mode():
        found = network.eval()(batch)
    assert (found.tokens == batch).all(dim=1).float().mean() > 0.95
    copied = found.alignment[:, :5].argmax(dim=2)  # the end has no word that it is a copy of
    assert (copied == torch.arange(5)).float().mean() > 0.95
