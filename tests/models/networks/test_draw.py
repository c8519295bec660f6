"""DRAW and its classifier: their equations written naively, what is carried from step to step, the Loop of
the exported graph, and that they learn.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from onnx import ModelProto

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.export.session import open_session
from regard.models.networks.draw import DRAW
from regard.models.networks.draw_classifier import DRAWClassifier


def build(steps: int = 3) -> DRAW:
    torch.manual_seed(0)
    network = DRAW(image_size=7, steps=steps, read_size=3, write_size=4, hidden=6, latent=2)
    return network.double().eval()


class Naive:
    """The paper's equations for one grey image, in NumPy, with pixels counted from 1."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.w = {name: value.numpy() for name, value in network.state_dict().items()}

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"]

    def lstm(self, name: str, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gates = self.w[f"{name}.weight_ih"] @ x + self.w[f"{name}.bias_ih"]
        gates = gates + self.w[f"{name}.weight_hh"] @ h + self.w[f"{name}.bias_hh"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def filters(self, name: str, h: np.ndarray, size: int, side: int) -> tuple[np.ndarray, ...]:
        x, y, log_variance, log_stride, log_gamma = self.linear(name, h)
        stride, pixels = (side - 1) / (size - 1) * np.exp(log_stride), np.arange(1, side + 1)
        banks = []
        for centre in (x, y):
            mu = (side + 1) / 2 * (centre + 1) + (np.arange(1, size + 1) - size / 2 - 0.5) * stride
            bank = np.exp(-((pixels - mu[:, None]) ** 2) / (2 * np.exp(log_variance)))
            banks.append(bank / bank.sum(axis=1, keepdims=True))
        return *banks, np.exp(log_gamma)

    def draw(self, x: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, float]:
        canvas, nats = np.zeros_like(x), 0.0
        h_enc, c_enc, h_dec, c_dec = (np.zeros(6) for _ in range(4))
        for epsilon in noise:
            missing = x - sigmoid(canvas)
            across, down, gamma = self.filters("read_window", h_dec, 3, 7)
            seen = [gamma * down @ image @ across.T for image in (x, missing)]
            h_enc, c_enc = self.lstm("encoder", np.concatenate([np.ravel(seen), h_dec]), h_enc, c_enc)
            mean, deviation = self.linear("mean", h_enc), np.exp(self.linear("log_deviation", h_enc))
            nats += (mean**2 + deviation**2 - np.log(deviation**2)).sum() / 2 - 1  # 2 numbers / 2
            h_dec, c_dec = self.lstm("decoder", mean + deviation * epsilon, h_dec, c_dec)
            across, down, gamma = self.filters("write_window", h_dec, 4, 7)
            canvas = canvas + down.T @ self.linear("patch", h_dec).reshape(4, 4) @ across / gamma
        return canvas, nats


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("noisy", [False, True])
def test_is_the_papers_equations(noisy, draw):
    network, x = build(), draw(2, 1, 7, 7).sigmoid()
    noise = draw(2, 3, 2, seed=1) * noisy
    with torch.inference_mode():
        found = network.draw(x, noise if noisy else None)
        bounds = network.bound(x, noise)
        answers = network(x)
    for index in range(2):
        image = x[index, 0].numpy()
        canvas, nats = Naive(network).draw(image, noise[index].numpy())
        assert np.abs(found[0][index, 0].numpy() - canvas).max() < 1e-12
        assert abs(found[1][index].item() - nats) < 1e-12
        p = sigmoid(canvas)
        surprise = -(image * np.log(p) + (1 - image) * np.log(1 - p)).sum()
        assert abs(bounds[index].item() - surprise - nats) < 1e-10
        if not noisy:
            assert np.abs(answers[index, 0].numpy() - p).max() < 1e-12


def test_the_canvas_after_fewer_steps_is_that_of_a_network_of_fewer(draw):
    x = draw(1, 1, 7, 7).sigmoid()
    with torch.inference_mode():
        canvases = [build(steps).draw(x)[0] for steps in (1, 2, 3)]
        read, written = build(3).draw(x)[2:]
        assert torch.equal(build(2).draw(x)[2], read[:, :2])
        assert torch.equal(build(2).draw(x)[3], written[:, :2])
    assert all(not torch.equal(*pair) for pair in pairwise(canvases))


def exported(network: torch.nn.Module, x: torch.Tensor) -> ModelProto:
    return to_onnx(network, {"x": Input(x, {0: "batch"})}, ["y"], opset=OPSET, name="DRAW")


def answer(model: ModelProto, x: torch.Tensor) -> np.ndarray:
    session = open_session(model.SerializeToString(), name="DRAW")
    return session.run(None, {"x": x.numpy()})[0]


def test_draws_in_one_loop_of_the_graph():
    torch.manual_seed(0)
    network = DRAW(image_size=8, steps=4, hidden=12).eval()
    model = exported(network, torch.rand(2, 1, 8, 8))
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    for batch in (1, 3):
        x = torch.rand(batch, 1, 8, 8)
        assert np.abs(answer(model, x) - network(x).detach().numpy()).max() < 1e-5


def test_learns_to_reconstruct():
    """Bars at one of four places. Who does not look pays 48 H(1/4) = 27 nats, 48 pixels being lit in one
    image of four.
    """
    torch.manual_seed(0)
    network = DRAW(image_size=8, steps=4, read_size=4, write_size=4, hidden=32, latent=4)
    x = torch.zeros(4, 1, 8, 8)
    for index in range(4):
        x[index, 0, 1:7, 2 * index : 2 * index + 2] = 1
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(150):
        loss = network.bound(x, torch.randn(4, 4, 4)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 22


def naive_class(network: DRAWClassifier, image: np.ndarray) -> np.ndarray:
    naive, h, c = Naive(network), np.zeros(6), np.zeros(6)
    for _ in range(network.glimpses):
        across, down, gamma = naive.filters("window", h, 3, 9)
        h, c = naive.lstm("lstm", (gamma * down @ image @ across.T).ravel(), h, c)
    return naive.linear("classifier", h)


def test_classifier_is_the_papers_equations(draw):
    torch.manual_seed(0)
    network = DRAWClassifier(num_classes=4, image_size=9, glimpses=3, read_size=3, hidden=6).double().eval()
    x = draw(2, 1, 9, 9)
    scores, explanation = network.explained(x)
    assert torch.equal(scores, network(x))
    for index in range(2):
        expected = naive_class(network, x[index, 0].numpy())
        assert np.abs(scores[index].detach().numpy() - expected).max() < 1e-12
    windows = explanation["glimpses"]
    assert windows.shape == (2, 3, 4)
    assert torch.equal(windows[0, 0], windows[1, 0])  # the state begins at 0
    assert not torch.equal(windows[0, 1], windows[1, 1])
    assert (windows[..., 2:] > windows[..., :2]).all()


def test_classifier_looks_in_one_loop_of_the_graph():
    torch.manual_seed(0)
    network = DRAWClassifier(image_size=10, glimpses=3, read_size=4, hidden=12).eval()
    model = exported(network, torch.rand(2, 1, 10, 10))
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    x = torch.rand(3, 1, 10, 10)
    assert np.abs(answer(model, x) - network(x).detach().numpy()).max() < 1e-5


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="this DRAW takes images of 7 x 7, got 8 x 7"):
        build()(torch.zeros(1, 1, 8, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="this DRAW classifier takes images of 100 x 100, got 28 x 28"):
        DRAWClassifier()(torch.zeros(1, 1, 28, 28))
    for kind in (DRAW, DRAWClassifier):
        with pytest.raises(ValueError, match="read_size.* must be at least 2, got 1"):
            kind(read_size=1)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        DRAW(steps=0)
