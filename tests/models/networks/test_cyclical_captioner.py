"""The cyclical captioner: its equations, what the localiser reads, and what the two passes share."""

import numpy as np
import pytest
import torch

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.export.session import open_session
from regard.models.decoding.forcing import along, answer_loss
from regard.models.decoding.generated import END
from regard.models.networks.cyclical_captioner import CyclicalCaptioner

SMALL = {"words": 7, "longest": 5, "backbone": "strided3", "width": 6, "embedding": 4, "hidden": 5}
CAPTIONS = torch.tensor([[3, 5, END, 0], [4, 3, 6, END]])


@pytest.fixture
def network(randomized):
    return randomized(CyclicalCaptioner(**SMALL))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def lstm(n, name, x, h, c):
    gates = (
        n[f"{name}.weight_ih"] @ x + n[f"{name}.bias_ih"] + n[f"{name}.weight_hh"] @ h + n[f"{name}.bias_hh"]
    )
    i, f, g, o = gates.reshape(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def decoded(n, regions, caption, localised=None):
    """Logits and looks along a caption (T,), looking by attention or at what is given (T, C)."""
    h1 = c1 = h2 = c2 = np.zeros(5)
    logits, looks = [], []
    for t, before in enumerate([0, *caption[:-1]]):
        seen = np.concatenate([n["embedding.weight"][before], regions.mean(axis=0), h2])
        h1, c1 = lstm(n, "watcher", seen, h1, c1)
        energy = [
            n["score.v.weight"][0] @ np.tanh(n["score.key.weight"] @ r + n["score.query.weight"] @ h1)
            for r in regions
        ]
        weights = softmax(np.array(energy))
        context = weights @ regions if localised is None else localised[t]
        h2, c2 = lstm(n, "writer", np.concatenate([context, h1]), h2, c2)
        logits.append(n["out.weight"] @ h2 + n["out.bias"])
        looks.append(weights)
    return np.array(logits), np.array(looks)


def test_equations(network, draw, arrays):
    """Both passes along a caption, and the loss of the two."""
    image = draw(2, 3, 24, 32)
    memory = network.encode(image)
    logits, alignment = along(network, CAPTIONS, memory)
    said = logits[:, :, 1:].argmax(dim=2) + 1  # padding is no word
    localised = network.localise(said, memory[0])
    rebuilt = network.reconstruct(CAPTIONS, localised, memory)
    n, regions = arrays(network), memory[0].detach().numpy()
    for b, caption in enumerate(CAPTIONS.tolist()):
        expected, looks = decoded(n, regions[b], caption)
        assert np.abs(logits[b].detach().numpy() - expected).max() < 1e-12
        assert np.abs(alignment[b].detach().numpy() - looks).max() < 1e-12
        found = []
        for word in said[b].tolist():
            embedded = n["localiser.scoring.w.weight"] @ n["embedding.weight"][word]
            found.append(softmax(regions[b] @ embedded) @ regions[b])
        assert np.abs(localised[b].detach().numpy() - found).max() < 1e-12
        again, _ = decoded(n, regions[b], caption, found)
        assert np.abs(rebuilt[b].detach().numpy() - again).max() < 1e-12
    half = (answer_loss(logits, CAPTIONS) + answer_loss(rebuilt, CAPTIONS)) / 2
    assert abs(network.training_loss(image, CAPTIONS) - half) < 1e-12


def test_the_localiser_reads_words_and_regions_alone(network, draw):
    """A word is found at the same place wherever it stands, and no LSTM has a part in it."""
    regions = network.encode(draw(2, 3, 24, 32))[0]
    first = network.localise(torch.tensor([[3, 5, 2], [3, 5, 2]]), regions)
    second = network.localise(torch.tensor([[5, 2, 3], [5, 2, 3]]), regions)
    assert torch.equal(first[:, [1, 2, 0]], second)
    used = torch.autograd.grad(first.square().sum(), list(network.parameters()), allow_unused=True)
    names = [name for name, _ in network.named_parameters()]
    read = {name.split(".")[0] for name, gradient in zip(names, used, strict=True) if gradient is not None}
    assert read == {"backbone", "embedding", "localiser"}


def test_both_passes_run_the_same_decoder(network, draw):
    """What changes one changes the other, and both teach it."""
    memory = tuple(each.detach() for each in network.encode(draw(2, 3, 24, 32)))
    localised = draw(2, 4, 6)

    def passes():
        return along(network, CAPTIONS, memory)[0], network.reconstruct(CAPTIONS, localised, memory)

    shared = ["watcher", "writer", "out", "embedding"]
    parameters = [p for name, p in network.named_parameters() if name.split(".")[0] in shared]
    for logits in passes():
        gradients = torch.autograd.grad(logits.square().sum(), parameters)
        assert all(gradient.abs().max() > 0 for gradient in gradients)
    before = passes()
    with torch.no_grad():
        network.writer.weight_ih.mul_(1.5)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(before, passes(), strict=True))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_reconstruction_weighs_the_passes(randomized, draw, weight):
    """Without it the localiser learns nothing; with it alone the decoder's own attention."""
    network = randomized(CyclicalCaptioner(**SMALL, reconstruction=weight))
    network.training_loss(draw(2, 3, 24, 32), CAPTIONS).backward()
    assert (network.localiser.scoring.w.weight.grad.abs().max() > 0) == bool(weight)
    assert (network.score.v.weight.grad.abs().max() > 0) != bool(weight)


def test_the_graph_writes_the_same_captions(awakened):
    """At a batch and a size that were never traced."""
    torch.manual_seed(2)
    network = awakened(CyclicalCaptioner(**SMALL)).eval()
    with torch.no_grad():  # louder, so that captions differ
        for each in network.parameters():
            each.mul_(3)
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


def test_refuses_a_weight_beyond_one():
    with pytest.raises(ValueError, match=r"reconstruction must be in \[0, 1\], got 2"):
        CyclicalCaptioner(**SMALL, reconstruction=2)
