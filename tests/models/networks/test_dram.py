"""DRAM: its equations written naively, what reaches which LSTM, and answers as sequences."""

import numpy as np
import pytest
import torch

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.export.session import open_session
from regard.models.decoding.generated import END, PADDING
from regard.models.losses.reinforce import reinforce
from regard.models.networks import dram
from regard.models.networks.dram import DRAM


def build(glimpses: int = 2) -> DRAM:
    torch.manual_seed(0)
    network = DRAM(
        words=6, longest=3, image_size=16, glimpses=glimpses, glimpse_size=4, scales=2, width=2, hidden=5
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return network.double().eval()


class Naive:
    """The paper's equations for one grey image (H, H), in NumPy."""

    def __init__(self, network: DRAM) -> None:
        self.w = {name: value.numpy() for name, value in network.state_dict().items()}
        self.glimpses = network.glimpses

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"]

    def conv(self, name: str, x: np.ndarray) -> np.ndarray:
        """3 x 3 with a padding of one, and relu."""
        kernel, bias, side = self.w[f"{name}.weight"], self.w[f"{name}.bias"], x.shape[1]
        padded, out = np.pad(x, ((0, 0), (1, 1), (1, 1))), np.zeros((len(bias), side, side))
        for row in range(side):
            for column in range(side):
                window = padded[:, row : row + 3, column : column + 3]
                out[:, row, column] = (kernel * window).sum(axis=(1, 2, 3)) + bias
        return np.maximum(out, 0)

    def lstm(self, name: str, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gates = self.w[f"{name}.weight_ih"] @ x + self.w[f"{name}.bias_ih"]
        i, f, g, o = np.split(gates + self.w[f"{name}.weight_hh"] @ h + self.w[f"{name}.bias_hh"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def read(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits of three labels, and all places."""
        coarse = x.reshape(4, 4, 4, 4).mean(axis=(1, 3))[None]
        features = self.conv("context.conv2", largest(self.conv("context.conv1", coarse)))
        # cell by cell, the channels of each together
        h2 = np.tanh(self.linear("start_place", features.transpose(1, 2, 0).ravel()))
        h1, c1, c2 = np.zeros(5), np.zeros(5), np.zeros(5)
        logits, places = [], []
        for _ in range(3):
            for _ in range(self.glimpses):
                place = np.tanh(self.linear("locator", h2))
                places.append(place)
                column, row = np.floor((place + 1) / 2 * 16).astype(int)
                canvas = np.pad(x, 8)
                sharp = canvas[row + 6 : row + 10, column + 6 : column + 10]
                wide = canvas[row + 4 : row + 12, column + 4 : column + 12]
                patches = np.stack([sharp, wide.reshape(4, 2, 4, 2).mean(axis=(1, 3))])
                seen = largest(self.conv("glimpse.conv1", patches))
                seen = largest(self.conv("glimpse.conv2", seen))
                what = np.maximum(self.linear("glimpse.what", seen.ravel()), 0)
                where = np.maximum(self.linear("glimpse.where", place), 0)
                h1, c1 = self.lstm("r1", what * where, h1, c1)
                h2, c2 = self.lstm("r2", h1, h2, c2)
            logits.append(self.linear("classifier", h1))
        return np.stack(logits), np.stack(places)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def largest(x: np.ndarray) -> np.ndarray:
    """Of each 2 x 2 positions: (C, H, H) -> (C, H / 2, H / 2)."""
    half = x.shape[1] // 2
    return x.reshape(len(x), half, 2, half, 2).max(axis=(2, 4))


@pytest.mark.parametrize("glimpses", [1, 2])
def test_is_the_papers_equations(glimpses, draw):
    network, x = build(glimpses), draw(3, 1, 16, 16)
    generated, explanation = network.explained(x)
    for index in range(3):
        logits, places = Naive(network).read(x[index, 0].numpy())
        corners = np.floor((places + 1) / 2 * 16) - 2
        boxes = explanation["glimpses"][index].numpy() * 16
        assert np.abs(boxes - np.concatenate([corners, corners + 4], axis=1)).max() < 1e-12
        logits[:, PADDING] = -np.inf
        said = logits.argmax(axis=1).tolist()
        said = said[: said.index(END) + 1] if END in said else said
        assert generated.tokens[index].tolist() == said + [PADDING] * (3 - len(said))
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        for position, word in enumerate(said):
            found = generated.log_probabilities[index, position].item()
            assert abs(found - log_probabilities[position, word]) < 1e-12


def test_what_times_where(draw):
    network = build().glimpse
    patches, place = draw(2, 2, 4, 4), draw(2, 2, seed=1)
    nowhere = network.where(place).relu() == 0
    assert nowhere.any()
    assert (network(patches, place)[nowhere] == 0).all()
    with torch.no_grad():
        network.where.weight.zero_()
        network.where.bias.fill_(1)
        once = network(patches, place)
        network.where.bias.fill_(3)
        assert torch.allclose(network(patches, place), 3 * once)


def test_context_reaches_the_places_alone():
    """What the context network sees moves the glimpses; no label's gradient reaches it."""
    network, x = build(), torch.rand(2, 1, 16, 16, dtype=torch.float64)
    memory = network.encode(x)
    looked = network.look(memory, network.start(*memory))
    context = list(network.context.parameters()) + list(network.start_place.parameters())
    gradients = torch.autograd.grad(looked.logits.sum(), context, allow_unused=True, retain_graph=True)
    assert all(gradient is None for gradient in gradients)
    gradients = torch.autograd.grad(looked.means.sum(), context)
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    h1, c1, h2, c2 = network.start(*memory)
    assert not h1.any()
    assert not c1.any()
    assert not c2.any()
    assert h2.any()


def test_alignment_is_what_its_glimpses_cover():
    """Patches of 4 x 4 around the middle of a cell, around a corner of four, and in the image's corner."""
    network = build(glimpses=1)
    covered = network.covered(torch.tensor([[[-0.5, -0.5]], [[0.0, 0.0]], [[1.0, -1.0]], [[0.0, -0.5]]]))
    expected = [[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 1.0, 0, 0], [0.5, 0.5, 0, 0]]
    assert torch.equal(covered, torch.tensor(expected))


def test_reads_in_one_loop_of_the_graph():
    network = build(glimpses=1).float()
    with torch.no_grad():
        network.classifier.bias[END] += 1
    x = 3 * torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    expected = network(x)
    lengths = (expected.tokens != PADDING).sum(dim=1)
    assert lengths.min() < lengths.max()  # some end before others
    inputs = {"x": Input(torch.rand(2, 1, 16, 16), {0: "batch"})}
    names = ["tokens", "log_probabilities", "alignment"]
    model = to_onnx(network, inputs, names, opset=OPSET, name="DRAM")
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    session = open_session(model.SerializeToString(), name="DRAM")
    for found, value in zip(session.run(names, {"x": x.numpy()}), expected, strict=True):
        assert np.abs(found - value.detach().numpy()).max() < 1e-5


def test_a_glimpse_is_rewarded_by_its_own_label_less_what_was_expected(monkeypatch):
    network, x, target = build().float(), torch.rand(2, 1, 16, 16), torch.tensor([[3, 4, END], [5, END, 0]])
    given = []
    monkeypatch.setattr(dram, "reinforce", lambda *both: given.append(both) or reinforce(*both))
    torch.manual_seed(3)
    network.training_loss(x, target)
    ((policy, rewards),) = given
    memory = network.encode(x)
    state, places = network.start(*memory), 0
    torch.manual_seed(3)
    for label in range(3):
        looked = network.look(memory, state, torch.randn(2, 2, 2))
        state = looked.state
        for glimpse in range(2):
            for image in range(2):
                chance = looked.logits[image].softmax(dim=0)[target[image, label]]
                found = rewards[image, places + glimpse]
                assert abs(found - chance + looked.expected[image, glimpse]) < 1e-6
        places += 2
    assert (policy[1, 4:] == 0).all()  # behind the end
    assert (policy[1, :4] != 0).all()


def test_learns_to_read_where_it_must_look():
    """One bright square in one of four corners, its brightness the label: it finds and reads it."""
    torch.manual_seed(0)
    network = DRAM(
        words=5, longest=2, image_size=16, glimpses=1, glimpse_size=4, scales=1, width=4, hidden=32
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    random = torch.Generator().manual_seed(0)
    for _ in range(250):
        x, target = squares(64, random)
        loss = network.training_loss(x, target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
    x, target = squares(256, random)
    assert (network.eval()(x).tokens == target).all(dim=1).double().mean() > 0.9


def squares(count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x, labels = torch.zeros(count, 1, 16, 16), torch.randint(2, (count,), generator=random)
    corners = torch.randint(2, (2, count), generator=random) * 8
    for index in range(count):
        row, column = corners[:, index]
        x[index, 0, row + 1 : row + 7, column + 1 : column + 7] = 0.5 + 0.5 * labels[index]
    return x, torch.stack([labels + 3, torch.full_like(labels, END)], dim=1)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="words must be 4 at least"):
        DRAM(words=3)
    with pytest.raises(ValueError, match="image_size must be a multiple of 8, got 28"):
        DRAM(image_size=28)
    with pytest.raises(ValueError, match="glimpse_size at least 4, got 3, 0, 2 and 16"):
        DRAM(glimpses=0)
    with pytest.raises(ValueError, match="this DRAM takes images of 16 x 16, got 24 x 24"):
        build()(torch.zeros(1, 1, 24, 24))
