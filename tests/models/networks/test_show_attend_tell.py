"""Show, Attend and Tell: its equations word by word, where it looks, and its two trainings."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.export.session import open_session
from regard.models.decoding.forcing import forced
from regard.models.decoding.generated import END
from regard.models.losses.doubly_stochastic import doubly_stochastic_loss
from regard.models.networks.show_attend_tell import HardShowAttendTell, SoftShowAttendTell

SMALL = {
    "words": 7,
    "longest": 5,
    "backbone": "strided3",
    "width": 6,
    "embedding": 4,
    "hidden": 5,
    "attending": 3,
}
BUILDERS = {"soft": SoftShowAttendTell, "hard": HardShowAttendTell}
CAPTIONS = torch.tensor([[3, 5, END, 0], [4, 3, 6, END]])


@pytest.fixture(params=BUILDERS)
def network(request, randomized):
    return randomized(BUILDERS[request.param](**SMALL))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def lstm(n, x, h, c):
    gates = n["lstm.weight_ih"] @ x + n["lstm.bias_ih"] + n["lstm.weight_hh"] @ h + n["lstm.bias_hh"]
    i, f, g, o = gates.reshape(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def written_out(n, places, *, soft, longest):
    """A caption of places (S, C): its words, their log-probabilities and where each looked."""
    mean = places.mean(axis=0)
    h = np.tanh(n["first_hidden.weight"] @ mean + n["first_hidden.bias"])
    c = np.tanh(n["first_cell.weight"] @ mean + n["first_cell.bias"])
    word, words, scores, looks = 0, [], [], []
    while len(words) < longest and word != END:
        energy = [
            n["score.v.weight"][0] @ np.tanh(n["score.key.weight"] @ a + n["score.query.weight"] @ h)
            for a in places
        ]
        weights = softmax(np.array(energy))
        if soft:
            beta = sigmoid(n["gate.weight"][0] @ h + n["gate.bias"][0])
            context = beta * sum(w * a for w, a in zip(weights, places, strict=True))
        else:
            context = places[weights.argmax()]
            weights = np.eye(len(places))[weights.argmax()]
        embedded = n["embedding.weight"][word]
        h, c = lstm(n, np.concatenate([embedded, context]), h, c)
        deep = embedded + n["from_hidden.weight"] @ h + n["from_hidden.bias"]
        logits = n["out.weight"] @ (deep + n["from_context.weight"] @ context) + n["out.bias"]
        logits[0] = -np.inf  # padding is no word
        word = int(logits.argmax())
        words.append(word)
        scores.append(np.log(softmax(logits)[word]))
        looks.append(weights)
    return words, scores, looks


def test_equations(network, draw, arrays):
    image = draw(4, 3, 24, 32)
    with torch.no_grad():
        network.embedding.weight[0] = 0  # E y_0
        out, places = network(image), network.encode(image)[0].numpy()
    n = arrays(network)
    assert places.shape == (4, 12, 6)
    for b in range(4):
        soft = isinstance(network, SoftShowAttendTell)
        words, scores, looks = written_out(n, places[b], soft=soft, longest=5)
        length = len(words)
        assert out.tokens[b].tolist() == words + [0] * (5 - length)
        assert np.abs(out.log_probabilities[b, :length].numpy() - scores).max() < 1e-10
        assert np.abs(out.alignment[b, :length].numpy() - np.array(looks)).max() < 1e-10
        assert not out.log_probabilities[b, length:].any()
        assert not out.alignment[b, length:].any()


def test_soft_attention_is_a_distribution_and_its_gate_a_fraction(randomized, draw):
    network, image = randomized(SoftShowAttendTell(**SMALL)), draw(3, 3, 24, 32)
    _, alignment = forced(network, torch.full((3, 4), 2), image)
    assert torch.allclose(alignment.sum(dim=2), torch.ones(3, 4, dtype=torch.float64))
    beta = network.beta(100 * draw(200, 5))
    assert ((beta >= 0) & (beta <= 1)).all()
    memory, hidden = network.encode(image), draw(3, 5)
    context, weights = network.look(memory, hidden)
    expected = network.beta(hidden) * (weights.unsqueeze(2) * memory[0]).sum(dim=1)
    assert (context - expected).abs().max() < 1e-12


def test_hard_attention_uses_one_place_bit_for_bit(randomized, draw):
    network, image = randomized(HardShowAttendTell(**SMALL)), draw(3, 3, 24, 32)
    memory, hidden = network.encode(image), draw(3, 5)
    context, weights = network.look(memory, hidden)
    best = network.log_weights(memory, hidden).argmax(dim=1)
    assert torch.equal(weights, F.one_hot(best, 12).double())
    assert torch.equal(context, memory[0][torch.arange(3), best])
    (gradient,) = torch.autograd.grad(context.square().sum(), memory[0])
    assert torch.equal(gradient.abs().amax(dim=2) > 0, weights > 0)


def test_soft_training_loss(randomized, draw):
    """Cross entropy of the words without padding, and the doubly stochastic loss of their looks."""
    network, image = randomized(SoftShowAttendTell(**SMALL, spread=0.7)), draw(2, 3, 24, 32)
    logits, alignment = forced(network, CAPTIONS, image)
    total = 0.0
    for b, length in enumerate((3, 4)):
        for t in range(length):
            total -= logits[b, t, 1:].log_softmax(dim=0)[CAPTIONS[b, t] - 1] / 7
    looks = torch.stack([alignment[0] * torch.tensor([1, 1, 1, 0])[:, None], alignment[1]])
    expected = total + 0.7 * doubly_stochastic_loss(looks)
    assert abs(network.training_loss(image, CAPTIONS) - expected) < 1e-12


def test_hard_training_has_the_enumerated_gradient(randomized, draw):
    """Of two words from 6 places: the estimate's mean, and the gradient of all 36 pairs weighted by their
    probability, within 4 standard errors.
    """
    network = randomized(HardShowAttendTell(**SMALL, entropy=0.0))
    image, caption = draw(1, 3, 16, 24), torch.tensor([[4, END]])
    memory = tuple(each.detach() for each in network.encode(image))
    # lambda_r = 1 and no baseline: the gradient of sum_s p(s) log p(y | s), by the paper's eqs. 10 and 11
    bound = torch.zeros((), dtype=torch.float64)
    for pair in product(range(6), repeat=2):
        log_places, log_words = _along(network, memory, caption[0], pair)
        bound = bound + log_places.exp() * log_words
    weight = network.score.v.weight
    exact = torch.autograd.grad(-bound, weight)[0].flatten()

    samples = 3000
    many = tuple(each.expand(samples, -1, -1) for each in memory)
    torch.manual_seed(0)
    estimates = torch.stack([_estimate(network, many, caption, weight) for _ in range(12)])
    error = (estimates.mean(dim=0) - exact).abs()
    standard = estimates.std(dim=0) / len(estimates) ** 0.5
    assert (error < 4 * standard).all()
    assert (exact.abs() > 4 * standard).any()  # an estimate of zero would fail


def _along(network, memory, caption, places):
    """log p of the places, and of the words given them."""
    state, before = network.start(*memory), torch.zeros(1, dtype=torch.int64)
    log_places, log_words = 0.0, 0.0
    for word, place in zip(caption, places, strict=True):
        log_places = log_places + network.log_weights(memory, state[0])[0, place]
        context = memory[0][:, place]
        logits, state = network.write(before, context, state)
        log_words = log_words + logits[0, 1:].log_softmax(dim=0)[word - 1]
        before = word.unsqueeze(0)
    return log_places, log_words


def _estimate(network, memory, caption, weight):
    network.baseline.zero_()
    network.encode = lambda _: memory
    loss = network.training_loss(torch.empty(0), caption.expand(len(memory[0]), -1))
    return torch.autograd.grad(loss, weight)[0].flatten()


def test_the_baseline_follows_the_captions(randomized, draw):
    network, image = randomized(HardShowAttendTell(**SMALL, reward=0.0, entropy=0.0)), draw(2, 3, 24, 32)
    expected = 0.0
    for _ in range(3):
        # without reward and entropy the loss is -log p(y | s), of which the baseline is a moving mean
        expected = 0.9 * expected - 0.1 * network.training_loss(image, CAPTIONS).item()
        assert abs(network.baseline.item() - expected) < 1e-12
    assert "baseline" not in network.state_dict()


def test_entropy_keeps_attention_open(randomized, draw):
    """Its part of the loss falls where the weights even out."""
    network, image = randomized(HardShowAttendTell(**SMALL, reward=0.0, entropy=1.0)), draw(1, 3, 24, 32)
    captions = torch.tensor([[END]])
    with torch.no_grad():
        network.score.v.weight.zero_()  # even weights: log 12
        torch.manual_seed(0)
        open_ = network.training_loss(image, captions)
        network.entropy = 0.0
        torch.manual_seed(0)
        assert abs(network.training_loss(image, captions) - open_ - np.log(12)) < 1e-12


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_the_graph_writes_the_same_captions(build, awakened):
    """At a batch and a size that were never traced."""
    torch.manual_seed(0)
    network = awakened(build(**SMALL)).eval()
    image = Input(torch.randn(2, 3, 32, 40), {0: "batch", 2: "height", 3: "width"})
    outputs = ["tokens", "log_probabilities", "alignment"]
    model = to_onnx(network, {"image": image}, outputs, opset=OPSET, name="captioner")
    session = open_session(model.SerializeToString(), name="captioner")
    noise, shades = (torch.Generator().manual_seed(seed) for seed in (5, 6))
    other = torch.randn(6, 3, 48, 32, generator=noise) + 4 * torch.randn(6, 3, 1, 1, generator=shades)
    tokens, scores, alignment = session.run(None, {"image": other.numpy()})
    with torch.inference_mode():
        expected = network(other)
    assert np.array_equal(tokens, expected.tokens.numpy())
    assert len(np.unique(tokens, axis=0)) > 1
    assert np.abs(scores - expected.log_probabilities.numpy()).max() < 1e-4
    assert np.abs(alignment - expected.alignment.numpy()).max() < 1e-5


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="spread must be 0 or more, got -1"):
        SoftShowAttendTell(**SMALL, spread=-1)
    with pytest.raises(ValueError, match="reward and entropy must be 0 or more, got 1.0 and -1"):
        HardShowAttendTell(**SMALL, entropy=-1)
